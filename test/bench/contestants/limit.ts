/**
 * The bare pipeline: the same safety as Locked Session's with nothing around it, as the limit that all ratios
 * are against. A process packs all that one turn of its event loop sends into one frame for the one queue of
 * the store (limit-store.ts). It holds a session's lock until the store recalls it. A change is durable when
 * the store has answered it.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Channel } from 'amqplib';
import { pack, unpack } from 'msgpackr';
import { startProcess } from '../../../scripts/processes/processes.js';
import {
  durabilities,
  attributeNames,
  changed,
  changedBy,
  firstAttribute,
  type Attribute,
  type Client,
  type Contestant,
} from '../contest.js';

/** From a process to the store. The attributes are encoded: to the store they are bytes. */
export type Ask =
  | readonly ['acquire', session: string]
  | readonly ['change', session: string, n: number, set: Readonly<Record<string, Uint8Array>>]
  | readonly ['release', session: string];

/** From the store to a process. */
export type Answer =
  | readonly ['granted', session: string, attributes: Readonly<Record<string, Uint8Array>>]
  | readonly ['changed', n: number]
  | readonly ['recalled', session: string];

/** Of amqplib: without it small frames wait for 40 ms. */
export const connection = { noDelay: true };

export const limit: Contestant = {
  what: 'the bare pipeline',
  durability: durabilities.killedStore,
  lacks: 'no lease, no repeats, no takeover: only what a change needs',
  needs: ['amqp'],

  async start({ servers, name }) {
    const directory = await mkdtemp(join(tmpdir(), 'locked-session-bench-'));
    const store = await startProcess({
      name: 'limit-store',
      script: 'dist/test/bench/contestants/limit-store.js',
      env: { AMQP_URL: servers.amqp, QUEUE: name, DIRECTORY: directory },
      ready: /ready/,
    });
    return {
      store: store.pid,
      async close() {
        await store.kill();
        await rm(directory, { recursive: true, force: true });
      },
    };
  },

  async open({ servers, name, member, settings }) {
    const link = await connect(servers.amqp, connection);
    const { holders = 1 } = settings;
    const processes: LimitProcess[] = [];
    for (let at = 0; at < holders; at++) {
      const owner = holders === 1 ? `server-${member}` : `server-${member}-${at}`;
      const process = new LimitProcess(await link.createChannel(), name, owner, firstAttribute(settings));
      await process.join();
      processes.push(process);
    }
    const [first] = processes as [LimitProcess];
    const of = (scope: number) => processes[scope % holders]!;
    return {
      read: (session, scope) => of(scope).use(session, (held) => held.get(changed)),
      change: (session, scope) => of(scope).change(session, [changed]),
      create: (session) => first.change(session, attributeNames),
      count: (session) => first.use(session, (held) => held.get(changed)?.count ?? 0),
      close: () => link.close(),
    } satisfies Client;
  },
};

/** A session at a process: held, or asked for. */
interface Held {
  attributes: Map<string, Attribute>;
  isHeld: boolean;
  isRecalled: boolean;
  /** Changes that the store has not answered. */
  unanswered: number;
  waiting: (() => void)[];
}

class LimitProcess {
  private readonly sessions = new Map<string, Held>();
  private readonly answers = new Map<number, () => void>();
  private readonly replyTo = `limit-${randomUUID()}`;
  private frame: Ask[] = [];
  private changes = 0;

  constructor(
    private readonly channel: Channel,
    private readonly queue: string,
    private readonly owner: string,
    private readonly initial: Attribute,
  ) {}

  async join(): Promise<void> {
    await this.channel.assertQueue(this.replyTo, { exclusive: true });
    await this.channel.consume(
      this.replyTo,
      (message) => {
        for (const answer of unpack(message!.content) as Answer[]) this.hear(answer);
      },
      { noAck: true },
    );
  }

  async use<T>(session: string, body: (attributes: Map<string, Attribute>) => T): Promise<T> {
    return body((await this.enter(session)).attributes);
  }

  /** Resolves with the owner before, when the store has the change. */
  async change(session: string, names: readonly string[]): Promise<string | undefined> {
    const held = await this.enter(session);
    const before = held.attributes.get(changed)?.owner;
    const set: Record<string, Uint8Array> = {};
    for (const name of names) {
      const next = changedBy(held.attributes.get(name) ?? this.initial, this.owner);
      held.attributes.set(name, next);
      set[name] = pack(next);
    }
    const n = ++this.changes;
    held.unanswered++;
    this.send(['change', session, n, set]);
    await new Promise<void>((resolve) => this.answers.set(n, resolve));
    held.unanswered--;
    if (held.isRecalled) this.release(session, held);
    return before;
  }

  private async enter(session: string): Promise<Held> {
    let held = this.sessions.get(session);
    if (!held) {
      held = { attributes: new Map(), isHeld: false, isRecalled: false, unanswered: 0, waiting: [] };
      this.sessions.set(session, held);
      this.send(['acquire', session]);
    }
    if (!held.isHeld || held.isRecalled) await new Promise<void>((resolve) => held.waiting.push(resolve));
    return held;
  }

  private hear(answer: Answer): void {
    if (answer[0] === 'changed') {
      this.answers.get(answer[1])!();
      this.answers.delete(answer[1]);
      return;
    }
    const held = this.sessions.get(answer[1])!;
    if (answer[0] === 'recalled') {
      held.isRecalled = true;
      this.release(answer[1], held);
      return;
    }
    held.isHeld = true;
    for (const [name, bytes] of Object.entries(answer[2]))
      held.attributes.set(name, unpack(bytes) as Attribute);
    for (const enter of held.waiting.splice(0)) enter();
  }

  /**
   * A recall waits for the changes that are on their way. Those that have come since wait for the next grant.
   */
  private release(session: string, held: Held): void {
    if (held.unanswered > 0 || !held.isHeld) return;
    this.send(['release', session]);
    held.isHeld = held.isRecalled = false;
    if (held.waiting.length > 0) this.send(['acquire', session]);
    else this.sessions.delete(session);
  }

  private send(ask: Ask): void {
    if (this.frame.push(ask) > 1) return;
    queueMicrotask(() =>
      setImmediate(() => {
        const frame = pack(this.frame);
        this.frame = [];
        this.channel.sendToQueue(this.queue, frame, { replyTo: this.replyTo });
      }),
    );
  }
}
