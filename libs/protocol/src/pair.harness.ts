/**
 * For specs: a store's machine and the machines of several holders, joined on virtual time. What a holder says at once travels in one frame (requests
 * in their own), what a store says in a frame for each message. A frame takes `hopMs`, in order; a test may lose, double or hold back single ones, cut a holder's connection, let another store take over, or take
 * the last writes away as a power loss does. What was said is kept as text, to be compared with a transcript.
 */
import { decodeHolderFrame, decodeStoreFrame, encodeHolderFrame, encodeStoreFrame } from './codec.js';
import { intoFrames } from './frames.js';
import { HolderMachine, type HolderRules } from './holder-machine.js';
import type { HeldGrant, HolderEvent } from './holder-outputs.js';
import type { Changes, HolderMessage, StoreMessage } from './messages.js';
import type { Now } from './order.js';
import { PartitionMachine, type StoreRules } from './partition-machine.js';
import { decodeAttribute, decodeHead, encodeAttribute, encodeHead, type SessionRecord } from './record.js';

export const testRules: StoreRules & HolderRules = {
  partitions: 1,
  leaseMs: 5_000,
  recallTimeoutMs: 10_000,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 3_600_000,
  tombstoneMs: 2_400_000,
  waitersPerSession: 4,
  waitersPerPartition: 6,
  endedGrants: 3,
  repeatMs: 1_000,
  renewMs: 1_500,
  writeBackMs: 0,
};

const hopMs = 1;

type Kind = (HolderMessage | StoreMessage)['kind'];
type Fate = 'lost' | 'twice' | ((arrive: () => void) => void);

interface StoredRow {
  readonly head: Uint8Array;
  readonly attributes: ReadonlyMap<string, Uint8Array>;
}

export class Pair {
  time = 0;
  store: PartitionMachine;
  /** What was said since the last `told`, at the time of sending. */
  private said: string[] = [];
  private readonly holders = new Map<string, TestHolder>();
  private readonly onWay: { readonly at: number; readonly arrive: () => void }[] = [];
  private readonly fates: { readonly kind: Kind; readonly fate: Fate }[] = [];
  /** What was written, one entry for each flush that wrote anything: the last one counts. */
  private readonly disk: ReadonlyMap<string, StoredRow>[] = [new Map()];
  private readonly unsettled = new Map<number, Uint8Array>();
  private deliveries = 0;

  constructor(private readonly rules: StoreRules & HolderRules = testRules) {
    this.store = this.ownedBy(1);
  }

  get now(): Now {
    return { mono: this.time, wall: 1_000_000 + this.time };
  }

  /** A holder with a connection; made when it is named for the first time. */
  holder(name: string): TestHolder {
    let holder = this.holders.get(name);
    if (!holder) this.holders.set(name, (holder = new TestHolder(name, this, new HolderMachine(this.rules))));
    return holder;
  }

  /** Lets time pass: enough for an answer and what follows from it, unless said otherwise. */
  run(ms = 10 * hopMs): this {
    for (const end = this.time + ms; this.time < end;) {
      this.time++;
      while (this.onWay.length > 0 && this.onWay[0]!.at <= this.time) this.onWay.shift()!.arrive();
      for (const holder of this.holders.values()) holder.tick();
      if (this.store.nextDeadline <= this.time) {
        this.store.tick(this.now);
        this.flushStore();
      }
    }
    return this;
  }

  /** What was said since the last call, without renewals. */
  told(): string[] {
    return this.said.splice(0).filter((line) => !/: renew(ed)? \d+$/.test(line));
  }

  /** The next frame with a message of this kind is lost. */
  lose(kind: Kind): this {
    this.fates.push({ kind, fate: 'lost' });
    return this;
  }

  /** The next frame with a message of this kind arrives twice. */
  double(kind: Kind): this {
    this.fates.push({ kind, fate: 'twice' });
    return this;
  }

  /** The next frame with a message of this kind is held back until the returned function is called, while others overtake it. */
  holdBack(kind: Kind): () => void {
    let arrive: (() => void) | undefined;
    this.fates.push({ kind, fate: (later) => (arrive = later) });
    return () => arrive?.();
  }

  /** Nothing is lost, doubled or held back any more. */
  heal(): void {
    this.fates.length = 0;
  }

  /** Another store claims the partition, after the last `lostFlushes` writes were lost with the power. Unsettled frames are delivered to it. */
  takeOver(lostFlushes = 0): void {
    this.disk.length -= lostFlushes;
    this.store = this.ownedBy(this.store.epoch + 1);
    const again = [...this.unsettled.values()];
    this.unsettled.clear();
    for (const bytes of again) this.toStore(bytes);
  }

  private ownedBy(epoch: number): PartitionMachine {
    const { leaseMs } = this.rules;
    return new PartitionMachine(0, epoch, this.rules, { since: this.time, longestLeaseMs: leaseMs });
  }

  /** Frames that the store has not acknowledged. */
  get unsettledFrames(): number {
    return this.unsettled.size;
  }

  /** A session's attributes as they are on disk. */
  stored(session: string): Record<string, string> | undefined {
    const row = this.disk.at(-1)!.get(session);
    return row && asText([...row.attributes].map(([name, bytes]) => [name, decodeAttribute(bytes).bytes]));
  }

  fromHolder(holder: TestHolder, partition: number, messages: readonly HolderMessage[]): void {
    const { name, queue } = holder;
    for (const frame of intoFrames(messages)) {
      const bytes = encodeHolderFrame({ partition, holder: name, queue, messages: frame });
      for (const message of frame) this.said.push(`${name}: ${shown(message)}`);
      this.send(frame, () => this.toStore(bytes));
    }
  }

  private toStore(bytes: Uint8Array): void {
    const frame = decodeHolderFrame(bytes);
    for (const id of this.store.missing(frame)) this.store.load(id, this.recordOf(id));
    this.unsettled.set(++this.deliveries, bytes);
    this.store.receive(frame, this.deliveries, this.now);
    this.flushStore();
  }

  private flushStore(): void {
    const { partition, epoch } = this.store;
    const { writes, messages, settled } = this.store.flush();
    if (writes.length > 0) {
      const disk = new Map(this.disk.at(-1));
      for (const { session, record, set, delete: removed } of writes) {
        if (!record) {
          disk.delete(session);
          continue;
        }
        const attributes = new Map(disk.get(session)?.attributes);
        for (const name of removed) attributes.delete(name);
        for (const name of set) attributes.set(name, encodeAttribute(record.attributes.get(name)!));
        disk.set(session, { head: encodeHead(record), attributes });
      }
      this.disk.push(disk);
    }
    for (const [queue, list] of messages) {
      for (const message of list) {
        const bytes = encodeStoreFrame({ partition, epoch, messages: [message] });
        this.said.push(`store → ${queue.split('.')[0]}: ${shown(message)}`);
        this.send([message], () => {
          for (const holder of this.holders.values()) if (holder.queue === queue) holder.receive(bytes);
        });
      }
    }
    for (const delivery of settled) this.unsettled.delete(delivery);
  }

  private send(frame: readonly { kind: Kind }[], arrive: () => void): void {
    const at = this.fates.findIndex(({ kind }) => frame.some((message) => message.kind === kind));
    const [{ fate } = { fate: undefined }] = at < 0 ? [] : this.fates.splice(at, 1);
    if (fate === 'lost') return;
    if (typeof fate === 'function') return fate(arrive);
    this.onWay.push({ at: this.time + hopMs, arrive });
    if (fate === 'twice') this.onWay.push({ at: this.time + hopMs, arrive });
  }

  private recordOf(session: string): SessionRecord | undefined {
    const row = this.disk.at(-1)!.get(session);
    if (!row) return undefined;
    const attributes = [...row.attributes].map(([name, bytes]) => [name, decodeAttribute(bytes)] as const);
    return { ...decodeHead(row.head), attributes: new Map(attributes) };
  }
}

/** A process that uses what it is granted as the test says. */
export class TestHolder {
  /** What happened since the last `happened`. */
  private events: string[] = [];
  private readonly grants = new Map<string, HeldGrant>();
  private connections = 1;
  /** Gives a recalled lock back at once. */
  polite = false;

  constructor(
    readonly name: string,
    private readonly pair: Pair,
    readonly machine: HolderMachine,
  ) {}

  get queue(): string {
    return `${this.name}.${this.connections}`;
  }

  /** Asks for the lock of a session that may be made, for `waitMs` or until `giveUp`. */
  want(session: string, waitMs = 10_000, create: Record<string, string> = {}): this {
    const { time, now } = this.pair;
    this.machine.want(session, time + waitMs, changes(create).set, now);
    return this.flush();
  }

  giveUp(session: string): this {
    this.machine.giveUp(session, this.pair.now);
    return this.flush();
  }

  /** The grant that this holder has. Throws when it has none. */
  held(session: string): HeldGrant {
    const grant = this.grants.get(session);
    if (!grant) throw new Error(`${this.name} does not hold ${session}`);
    return grant;
  }

  holds(session: string): boolean {
    return this.grants.has(session);
  }

  /** What this holder sees of a session that it holds. */
  sees(session: string): Record<string, string> {
    return asText([...this.held(session).attributes].map(([name, { bytes }]) => [name, bytes]));
  }

  commit(session: string, set: Record<string, string>, ...removed: string[]): this {
    this.machine.commit(this.held(session), changes(set, removed), this.pair.now);
    return this.flush();
  }

  release(session: string, set: Record<string, string> = {}): this {
    const grant = this.held(session);
    this.grants.delete(session);
    this.machine.release(grant, changes(set), this.pair.now);
    return this.flush();
  }

  /** The connection is lost with all that is under way, and another one stands. */
  reconnect(): this {
    this.connections++;
    this.machine.takeMessages();
    this.machine.connected(this.pair.now);
    return this.flush();
  }

  /** Events since the last call, as text. */
  happened(): string[] {
    return this.events.splice(0);
  }

  receive(bytes: Uint8Array): void {
    this.machine.receive(decodeStoreFrame(bytes), this.pair.now);
    for (const event of this.machine.takeEvents()) this.note(event);
    this.flush();
  }

  tick(): void {
    this.machine.tick(this.pair.now);
    this.flush();
  }

  private note(event: HolderEvent): void {
    if (event.kind === 'partitions') return;
    if (event.kind === 'refused') {
      this.events.push(`refused ${event.session} ${event.why}`);
      return;
    }
    const { grant } = event;
    const { session, token, acknowledged } = grant;
    const more =
      event.kind === 'acknowledged' ? ` ${acknowledged}` : event.kind === 'lost' ? ` ${event.why}` : '';
    this.events.push(`${event.kind} ${session} ${token.join('.')}${more}`);
    if (event.kind === 'granted') this.grants.set(session, grant);
    if (event.kind === 'lost' && this.grants.get(session) === grant) this.grants.delete(session);
    const recalled = event.kind === 'recalled' || (event.kind === 'granted' && event.contended);
    if (recalled && this.polite) this.release(session);
  }

  private flush(): this {
    for (const [partition, messages] of this.machine.takeMessages())
      this.pair.fromHolder(this, partition, messages);
    return this;
  }
}

/** Changes with texts as values. */
export function changes(set: Record<string, string> = {}, removed: readonly string[] = []): Changes {
  const encoder = new TextEncoder();
  const values = Object.entries(set).map(([name, text]) => [name, encoder.encode(text)] as const);
  return { set: new Map(values), delete: removed };
}

export function asText(values: Iterable<readonly [string, Uint8Array]>): Record<string, string> {
  const decoder = new TextDecoder();
  return Object.fromEntries([...values].map(([name, bytes]) => [name, decoder.decode(bytes)]));
}

/** A message in one line, for example `grant s #1 1.1 {cart=2} contended`: what is empty or usual is left out. */
export function shown(message: HolderMessage | StoreMessage): string {
  const parts: string[] = [message.kind];
  if ('session' in message) parts.push(message.session);
  if ('request' in message && message.request !== undefined) parts.push(`#${message.request}`);
  if ('token' in message && message.token) parts.push(message.token.join('.'));
  if ('seq' in message && message.seq !== undefined && !(message.kind === 'grant' && message.seq === 0)) {
    parts.push(`seq ${message.seq}`);
  }
  if ('n' in message) parts.push(String(message.n));
  if ('why' in message) parts.push(message.why);
  if ('appliedThrough' in message) parts.push(`applied ${message.appliedThrough}`);
  if ('known' in message && message.known) parts.push(`knows ${message.known.join('.')}`);
  const set = 'set' in message ? message.set : 'create' in message ? message.create : undefined;
  if (set && set.size > 0) {
    const values = Object.entries(asText(set)).map(([name, text]) => `${name}=${text}`);
    parts.push(`{${values.join(' ')}}`);
  }
  if ('keep' in message && message.keep.length > 0) parts.push(`keep ${message.keep.join(' ')}`);
  if ('delete' in message && message.delete.length > 0) parts.push(`delete ${message.delete.join(' ')}`);
  if ('contended' in message && message.contended) parts.push('contended');
  if ('recalled' in message)
    for (const [id, token] of message.recalled) parts.push(`recalled ${id} ${token.join('.')}`);
  return parts.join(' ');
}
