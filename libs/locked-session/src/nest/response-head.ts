/**
 * Holds back the answer of a handler that answers by itself (`@Res()`), until its changes are durable. So no
 * client is told of a change that the store refuses later, and the last moment decides which `Set-Cookie`
 * goes with the head. It wraps the methods of Node's response, which Express hands out as it is and Fastify
 * as `reply.raw`. So one way serves both, and `reply.hijack()`, too.
 *
 * The held answer is kept in memory. The first `write` returns false. A producer that heeds it, as every pipe
 * does, adds nothing until the `drain` that follows the release. One that ignores it fills the memory, as it
 * would with a slow client.
 */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';

/** The value of `@Res()`: Node's response itself, or Fastify's reply around it. */
export type PlatformResponse = ServerResponse & { readonly raw?: ServerResponse };

/** Node's own, also when an application's tests put another one in its place. */
const nextTurn = setImmediate;

type Outlet = 'writeHead' | 'write' | 'end' | 'flushHeaders';
type Call = (...args: unknown[]) => unknown;

/** Callbacks for an answer that begins while the head is held. */
export interface HeldHead {
  /**
   * Data are still held one turn of the event loop after they were written. The handler may be waiting for
   * them to leave.
   */
  onUrgent(): void;
  /**
   * An error is about to be answered. Returns true when it comes from outside the handler, so that it leaves
   * at once.
   */
  givesWay(): boolean;
  /** The answer is complete, and held. */
  onEnd?(): void;
}

/** An answer that has begun and is held back. */
interface HeldAnswer {
  readonly calls: { readonly outlet: Outlet; readonly args: readonly unknown[] }[];
  readonly status: Status;
  /** It has more than a head, so that its handler may wait for it to leave. */
  urgent: boolean;
}

type Status = Partial<Pick<ServerResponse, 'statusCode' | 'statusMessage'>>;

/** The response before its handler was called. */
interface Untouched {
  readonly headers: OutgoingHttpHeaders;
  readonly status: Status;
}

interface Holding {
  readonly heed: HeldHead;
  /** Undefined when the head has left, so that only the end is held. */
  readonly untouched?: Untouched;
}

export class ResponseHead {
  private readonly raw: ServerResponse;
  private readonly outlets: Readonly<Record<Outlet, Call>>;
  private holding: Holding | undefined;
  /** The length that the head has told, as far as it is known, and the bytes that have left. */
  private length: number | undefined;
  private bytes = 0;
  /** Streams that are piped into the response while it is held back. */
  private readonly sources = new Set<Readable>();
  private readonly onPipe = (source: Readable) => void this.sources.add(source);
  private isReplaced = false;
  private held: HeldAnswer | undefined;
  private readonly frozen = new Map<PropertyKey, PropertyDescriptor | undefined>();
  private cookieIsDecided = false;

  /** `cookie` is called once, when the head leaves, and returns the `Set-Cookie` that goes with it. */
  constructor(
    private readonly response: PlatformResponse,
    private readonly cookie: () => string | undefined,
  ) {
    const raw = rawOf(response);
    this.raw = raw;
    this.outlets = {
      writeHead: raw.writeHead as Call,
      write: raw.write as Call,
      end: raw.end as Call,
      flushHeaders: raw.flushHeaders,
    };
    for (const outlet of ['writeHead', 'write', 'end', 'flushHeaders'] as const)
      raw[outlet] = ((...args: unknown[]) => this.call(outlet, args)) as never;
  }

  /** Whether the head is on its way to the client, so that nothing can be taken back. */
  get hasLeft(): boolean {
    return !this.held && this.raw.headersSent;
  }

  /** Whether the handler has begun an answer, which is held back. */
  get isHeld(): boolean {
    return this.held !== undefined;
  }

  /** From now on nothing leaves. */
  hold(heed: HeldHead): void {
    this.isReplaced = false;
    const untouched = { headers: this.response.getHeaders(), status: statusOf(this.raw) }; // a copy
    this.holding = { heed, untouched };
    this.raw.on('pipe', this.onPipe);
  }

  /** The held answer leaves. */
  release(): void {
    this.pass(this.letGo());
  }

  /**
   * The head leaves, with what was written so far. The end is held from now on. When the head has told the
   * length, so is the piece that completes it, since no client looks further.
   */
  releaseHead(heed: HeldHead): void {
    const held = this.letGo();
    this.holding = { heed };
    this.pass(held);
  }

  /** The answer is cut off. Its head has left, so that it cannot be replaced. */
  cut(): void {
    this.letGo();
    this.dropSources();
    this.isReplaced = true;
    this.raw.destroy();
  }

  private pass(held: HeldAnswer | undefined): void {
    const sources = [...this.sources];
    this.sources.clear();
    if (!held) return;
    Object.assign(this.raw, held.status);
    let isWaiting = false;
    for (const { outlet, args } of held.calls) {
      const result = this.call(outlet, args);
      isWaiting = outlet === 'write' && result === true;
    }
    // Node emits it itself when it could not pass everything on at once.
    if (!isWaiting) return;
    process.nextTick(() => {
      this.raw.emit('drain');
      // Middleware may have taken the listeners for `drain` to a stream of its own, as compression does.
      for (const source of sources) if (source.isPaused()) source.resume();
    });
  }

  /**
   * The held answer is dropped, and an error is answered instead. Later writes of the handler are dropped,
   * too.
   */
  discard(): void {
    const untouched = this.holding?.untouched;
    const held = this.letGo();
    this.dropSources();
    if (!untouched) return;
    this.isReplaced = true;
    if (!held) return;
    for (const name of Object.keys(this.response.getHeaders())) this.response.removeHeader(name);
    for (const [name, value] of Object.entries(untouched.headers))
      if (value !== undefined) this.raw.setHeader(name, value);
    Object.assign(this.raw, untouched.status);
  }

  private call(outlet: Outlet, args: readonly unknown[]): unknown {
    if (this.holding && !this.held && this.isError(outlet, args) && this.holding.heed.givesWay())
      this.discard();
    if (this.holding && !this.passes(this.holding, outlet, args))
      return this.keep(this.holding, outlet, args);
    if (this.isReplaced && (this.raw.writableEnded || this.raw.destroyed)) return this.drop(outlet, args);
    return this.send(outlet, args);
  }

  private send(outlet: Outlet, args: readonly unknown[]): unknown {
    if (outlet === 'writeHead') this.length = lengthIn(args);
    if (outlet === 'write') this.bytes += sizeOf(args);
    return this.outlets[outlet].apply(this.raw, [...(outlet === 'writeHead' ? this.withCookie(args) : args)]);
  }

  private passes({ untouched }: Holding, outlet: Outlet, args: readonly unknown[]): boolean {
    if (untouched || this.held || outlet === 'end') return false;
    this.length ??= numberIn(this.raw.getHeader('content-length'));
    return outlet !== 'write' || this.length === undefined || this.bytes + sizeOf(args) < this.length;
  }

  private keep({ heed, untouched }: Holding, outlet: Outlet, args: readonly unknown[]): unknown {
    const held = (this.held ??= this.begin());
    if (outlet === 'writeHead') {
      if (held.calls.length > 0) throw headIsSet('write');
      // Fastify changes the object later that it gives here.
      held.calls.push({ outlet, args: args.map((arg) => (isObject(arg) ? copyOf(arg) : arg)) });
      return this.raw;
    }
    held.calls.push({ outlet, args });
    if (!held.urgent) {
      held.urgent = true;
      nextTurn(() => this.held === held && heed.onUrgent());
    }
    // A pipe that waited for `drain` would not come to its end.
    if (outlet === 'write') return untouched === undefined;
    if (outlet !== 'end') return undefined;
    this.freeze('writableEnded', { get: () => true });
    heed.onEnd?.();
    return this.raw;
  }

  private isError(outlet: Outlet, [status]: readonly unknown[]): boolean {
    return Number(outlet === 'writeHead' ? status : this.raw.statusCode) >= 400;
  }

  private drop(outlet: Outlet, args: readonly unknown[]): unknown {
    const callback = args.find((arg) => typeof arg === 'function') as ((error: Error) => void) | undefined;
    if (callback) process.nextTick(callback, new Error('an error was answered instead'));
    if (outlet === 'write') return false;
    return outlet === 'flushHeaders' ? undefined : this.raw;
  }

  /** From now on the response looks as if its head were sent. */
  private begin(): HeldAnswer {
    this.freeze('headersSent', { get: () => true });
    const refuse = () => {
      throw headIsSet('set');
    };
    for (const setter of ['setHeader', 'setHeaders', 'appendHeader', 'removeHeader'])
      this.freeze(setter, { value: refuse });
    return { calls: [], status: statusOf(this.raw), urgent: false };
  }

  private dropSources(): void {
    for (const source of this.sources) source.unpipe(this.raw).destroy();
    this.sources.clear();
  }

  private letGo(): HeldAnswer | undefined {
    const { held } = this;
    this.holding = undefined;
    this.held = undefined;
    this.raw.off('pipe', this.onPipe);
    for (const [name, before] of this.frozen) {
      if (before) Object.defineProperty(this.raw, name, before);
      else Reflect.deleteProperty(this.raw, name);
    }
    this.frozen.clear();
    return held;
  }

  private freeze(name: string, as: PropertyDescriptor): void {
    if (this.frozen.has(name)) return;
    this.frozen.set(name, Object.getOwnPropertyDescriptor(this.raw, name));
    Object.defineProperty(this.raw, name, { ...as, configurable: true });
  }

  /**
   * The last moment for the cookie. Headers that are given with the head replace earlier ones, so the cookie
   * joins them.
   */
  private withCookie(args: readonly unknown[]): readonly unknown[] {
    if (this.cookieIsDecided) return args;
    this.cookieIsDecided = true;
    const cookie = this.cookie();
    if (cookie === undefined) return args;
    const given = args.find(isObject);
    const joined = given && join(given, cookie);
    if (joined) return args.map((arg) => (arg === given ? joined : arg));
    this.raw.appendHeader('Set-Cookie', cookie);
    return args;
  }
}

export function rawOf(response: PlatformResponse): ServerResponse {
  return response.raw ?? response;
}

/** HTTP/2 has no status message, and Node warns of one. */
function statusOf(raw: ServerResponse): Status {
  const { statusCode } = raw;
  return 'stream' in raw ? { statusCode } : { statusCode, statusMessage: raw.statusMessage };
}

/** The headers with the cookie. Undefined when there are no cookies among them. */
function join(headers: object, cookie: string): object | undefined {
  if (!Array.isArray(headers)) {
    const name = Object.keys(headers).find(isSetCookie);
    if (name === undefined) return undefined;
    return { ...headers, [name]: [(headers as OutgoingHttpHeaders)[name]!, cookie].flat() };
  }
  // Names and values alternate. When other headers were set before, Node takes only the last value of a name.
  const list: unknown[] = headers.flat();
  const others: unknown[] = [];
  const cookies: unknown[] = [];
  for (let i = 0; i < list.length; i += 2) {
    if (isSetCookie(list[i])) cookies.push(list[i + 1]);
    else others.push(list[i], list[i + 1]);
  }
  return cookies.length > 0 ? [...others, 'Set-Cookie', [...cookies, cookie].flat()] : undefined;
}

/** The length that the arguments of `writeHead` tell. */
function lengthIn(args: readonly unknown[]): number | undefined {
  const given = args.find(isObject);
  if (!given) return undefined;
  const list: unknown[] = Array.isArray(given) ? given.flat() : Object.entries(given).flat();
  const at = list.findIndex((one, i) => i % 2 === 0 && String(one).toLowerCase() === 'content-length');
  return at < 0 ? undefined : numberIn(list[at + 1]);
}

function numberIn(header: unknown): number | undefined {
  const number = Number(header ?? Number.NaN);
  return Number.isFinite(number) ? number : undefined;
}

/** The bytes of the piece that `write` is given. */
function sizeOf([piece, encoding]: readonly unknown[]): number {
  if (typeof piece === 'string') return Buffer.byteLength(piece, encoding as BufferEncoding);
  return (piece as Uint8Array | undefined)?.byteLength ?? 0;
}

function isSetCookie(name: unknown): boolean {
  return String(name).toLowerCase() === 'set-cookie';
}

function isObject(arg: unknown): arg is object {
  return typeof arg === 'object' && arg !== null;
}

function copyOf(headers: object): object {
  return Array.isArray(headers) ? [...(headers as unknown[])] : { ...headers };
}

/** The error that Node throws when the head is sent. */
function headIsSet(what: string): Error {
  return Object.assign(new Error(`Cannot ${what} headers after they are sent to the client`), {
    code: 'ERR_HTTP_HEADERS_SENT',
  });
}
