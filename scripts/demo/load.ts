/**
 * A measured load on the shop. Each client has one session and keeps several requests of it under way, spread
 * over all servers: in turn an addition to its cart and a read of it, the case that loses updates. Each
 * addition has an id, so the load can look for each acknowledged one in the cart. A full cart is checked and
 * emptied, so that its size does not change the figures.
 */
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export interface LoadOptions {
  /** The requests go to these in turn: the app servers, or a gateway in front of them. */
  readonly urls: readonly string[];
  readonly clients: number;
  /** How many requests each client keeps under way. */
  readonly parallel: number;
  readonly seconds: number;
  /** Ends the load after so many requests, even if time is left. */
  readonly requests?: number | undefined;
  /** How many additions fill a cart. */
  readonly cartSize?: number;
  /** Called after each answer with the share of the load that is done: 0 to 1. */
  readonly progress?: (done: number, requests: number) => void;
}

export interface LoadFigures extends CartCheck {
  /** Additions that were acknowledged. */
  readonly updates: number;
  /** Additions and reads. */
  readonly requests: number;
  readonly failed: number;
  /** The failures by their reasons. */
  readonly failures: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export interface CartCheck {
  /** Acknowledged additions that are in the cart exactly once. */
  readonly found: number;
  /** Acknowledged additions that are missing, or in the cart twice. */
  readonly lost: number;
  /** Ids in the cart that its client never sent, or that failed and are there twice. */
  readonly strays: number;
}

export async function runLoad(options: LoadOptions): Promise<LoadFigures> {
  const load = new Load(options);
  const clients = Array.from({ length: options.clients }, (_, index) => new Client(load, `${index + 1}`));
  try {
    await Promise.all(clients.map((client) => client.arrive()));
    load.start();
    await Promise.all(clients.map((client) => client.shop()));
    load.stop();
    await Promise.all(clients.map((client) => client.checkCart()));
    return load.figures();
  } finally {
    load.agent.destroy();
  }
}

/** All clients share this: the connections, the end, the counts. */
class Load {
  readonly agent = new Agent({ keepAlive: true });
  private startedAt = 0;
  private seconds = 0;
  private sent = 0;
  private turn = 0;
  private readonly latencies: number[] = [];
  private readonly failures: Record<string, number> = {};
  private readonly checks = { updates: 0, found: 0, lost: 0, strays: 0 };

  constructor(readonly options: LoadOptions) {}

  start(): void {
    this.startedAt = performance.now();
  }

  stop(): void {
    this.seconds = (performance.now() - this.startedAt) / 1000;
  }

  /** The share that is done: 1 is all. */
  done(): number {
    const { seconds, requests = Infinity } = this.options;
    return Math.min(1, Math.max((performance.now() - this.startedAt) / 1000 / seconds, this.sent / requests));
  }

  nextUrl(): string {
    return this.options.urls[this.turn++ % this.options.urls.length]!;
  }

  /** Counts and times one request of the load. Returns undefined when it failed. */
  async measure<T>(send: () => Promise<T>): Promise<T | undefined> {
    this.sent++;
    const sentAt = performance.now();
    try {
      return await send();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.failures[reason] = (this.failures[reason] ?? 0) + 1;
      return undefined;
    } finally {
      this.latencies.push(performance.now() - sentAt);
      this.options.progress?.(this.done(), this.latencies.length);
    }
  }

  checked(updates: number, check: CartCheck): void {
    this.checks.updates += updates;
    for (const key of ['found', 'lost', 'strays'] as const) this.checks[key] += check[key];
  }

  figures(): LoadFigures {
    const sorted = this.latencies.toSorted((one, other) => one - other);
    return {
      ...this.checks,
      requests: this.sent,
      failed: Object.values(this.failures).reduce((sum, count) => sum + count, 0),
      failures: this.failures,
      seconds: this.seconds,
      requestsPerSecond: this.sent / this.seconds,
      p50Ms: percentile(sorted, 50),
      p95Ms: percentile(sorted, 95),
      p99Ms: percentile(sorted, 99),
    };
  }
}

class Client {
  private cookie = '';
  private additions = 0;
  private asked = new Set<string>();
  private acknowledged = new Set<string>();

  constructor(
    private readonly load: Load,
    private readonly name: string,
  ) {}

  /**
   * The first request brings the cookie that makes one session of all others. Then it opens as many
   * connections as the load needs, so that the load does not measure that.
   */
  async arrive(): Promise<void> {
    await this.insist('GET', '/visits');
    if (!this.cookie) throw new Error('the first answer brought no cookie');
    await this.atOnce(() => this.insist('GET', '/cart'));
  }

  async shop(): Promise<void> {
    while (this.load.done() < 1) {
      await this.atOnce(() => this.fillCart());
      if (this.load.done() < 1) await this.emptyCart();
    }
  }

  private async atOnce(act: () => Promise<unknown>): Promise<void> {
    await Promise.all(Array.from({ length: this.load.options.parallel }, act));
  }

  private async fillCart(): Promise<void> {
    const { cartSize = 200 } = this.load.options;
    while (this.load.done() < 1 && this.asked.size < cartSize) {
      await this.add();
      if (this.load.done() < 1) await this.load.measure(() => this.send('GET', '/cart'));
    }
  }

  private async add(): Promise<void> {
    const id = `${this.name}-${++this.additions}`;
    this.asked.add(id);
    const item = { id, name: 'a cup of tea', price: 2.5 };
    const answer = await this.load.measure(() => this.send('POST', '/cart/items', item));
    if (answer !== undefined) this.acknowledged.add(id);
  }

  private async emptyCart(): Promise<void> {
    await this.checkCart();
    await this.insist('DELETE', '/cart');
    this.asked = new Set();
    this.acknowledged = new Set();
  }

  /** Looks for all additions that were acknowledged since the cart was emptied. No request is under way. */
  async checkCart(): Promise<void> {
    const cart = JSON.parse(await this.insist('GET', '/cart')) as { items: { id: string }[] };
    const ids = cart.items.map(({ id }) => id);
    this.load.checked(this.acknowledged.size, compareCart(this.asked, this.acknowledged, ids));
  }

  /** Repeats a request until it succeeds, while servers stop and start. */
  private async insist(method: string, path: string): Promise<string> {
    for (const giveUpAt = performance.now() + 20_000; ; await delay(500)) {
      try {
        return await this.send(method, path);
      } catch (error) {
        if (performance.now() > giveUpAt) throw error;
      }
    }
  }

  /** The body of the answer. Throws unless it is a success. */
  private async send(method: string, path: string, body?: object): Promise<string> {
    const payload = body && JSON.stringify(body);
    const outgoing = request(new URL(path, this.load.nextUrl()), {
      method,
      agent: this.load.agent,
      headers: {
        ...(this.cookie && { cookie: this.cookie }),
        ...(payload && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
      },
    });
    outgoing.end(payload);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    const text = Buffer.concat(await answer.toArray()).toString();
    if (answer.statusCode! >= 300) {
      throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 200)}`);
    }
    const [given] = answer.headers['set-cookie'] ?? [];
    if (given) this.cookie = given.split(';', 1)[0]!;
    return text;
  }
}

/** Compares the cart with the additions that were asked for and acknowledged. */
export function compareCart(
  asked: ReadonlySet<string>,
  acknowledged: ReadonlySet<string>,
  cart: readonly string[],
): CartCheck {
  const times = new Map<string, number>();
  for (const id of cart) times.set(id, (times.get(id) ?? 0) + 1);
  const found = [...acknowledged].filter((id) => times.get(id) === 1).length;
  const strays = [...times].filter(
    ([id, count]) => !asked.has(id) || (count > 1 && !acknowledged.has(id)),
  ).length;
  return { found, lost: acknowledged.size - found, strays };
}

/** The nearest rank in sorted values. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0;
}
