/**
 * For specs: a store's machine and the machines of several holders, joined on virtual time. What a holder says at once travels in one frame (requests
 * in their own), what a store says in a frame for each message. A frame takes `hopMs`, in order; a test may lose, double or hold back single ones, cut a holder's connection, pause either side, let another store take over, or take
 * the last writes away as a power loss does. Either machine may be replaced by one with a rule switched off. What was said is kept as text, to be compared with a transcript.
 */
import { decodeHolderFrame, encodeHolderFrame, encodeStoreFrame } from './codec.js';
import { intoFrames } from './frames.js';
import type { HolderRules } from './holder-desk.js';
import { HolderMachine } from './holder-machine.js';
import type { HolderMessage, StoreMessage } from './messages.js';
import type { Now } from './order.js';
import type { StoreRules } from './partition-desk.js';
import { PartitionMachine } from './partition-machine.js';
import { decodeAttribute, decodeHead, encodeAttribute, encodeHead, type SessionRecord } from './record.js';
import { TestHolder } from './test-holder.harness.js';
import { asText, shown } from './words.harness.js';

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
  queues: 'partitioned',
};

const hopMs = 1;
/** How often the store looks for sessions that are due, in milliseconds. */
const scanMs = 1_000;

/** What plays the two sides: a race shows what happens when a rule is switched off in one of them. */
export interface Machines {
  readonly holder: (rules: HolderRules) => HolderMachine;
  readonly store: (...of: ConstructorParameters<typeof PartitionMachine>) => PartitionMachine;
}

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
  private epoch = 0;
  /** What is held up on its way to the store. */
  private waiting: Uint8Array[] | undefined;
  private paused = false;
  private readonly machines: Machines;

  constructor(
    private readonly rules: StoreRules & HolderRules = testRules,
    machines: Partial<Machines> = {},
  ) {
    this.machines = {
      holder: (of) => new HolderMachine(of),
      store: (...of) => new PartitionMachine(...of),
      ...machines,
    };
    this.store = this.claimed();
  }

  get now(): Now {
    return { mono: this.time, wall: 1_000_000 + this.time };
  }

  /** A holder with a connection; made when it is named for the first time. */
  holder(name: string): TestHolder {
    let holder = this.holders.get(name);
    if (!holder)
      this.holders.set(name, (holder = new TestHolder(name, this, this.machines.holder(this.rules))));
    return holder;
  }

  /** Lets time pass: enough for an answer and what follows from it, unless said otherwise. */
  run(ms = 10 * hopMs): this {
    for (const end = this.time + ms; this.time < end;) {
      this.time++;
      while (this.onWay.length > 0 && this.onWay[0]!.at <= this.time) this.onWay.shift()!.arrive();
      for (const holder of this.holders.values()) holder.tick();
      if (!this.paused) this.storeTimers();
    }
    return this;
  }

  /** What is said to the store waits. */
  holdUp(): void {
    this.waiting = [];
  }

  letThrough(): void {
    const waiting = this.waiting ?? [];
    this.waiting = undefined;
    for (const bytes of waiting) this.toStore(bytes);
  }

  /** The store's process stands still. */
  pauseStore(): void {
    this.paused = true;
    this.holdUp();
  }

  /** The store goes on: its timers fire before it reads what waited. */
  resumeStore(): void {
    this.paused = false;
    this.storeTimers();
    this.letThrough();
  }

  private storeTimers(): void {
    if (this.time % scanMs === 0) this.scan();
    if (this.store.nextDeadline <= this.time) this.store.tick(this.now);
    this.flushStore();
  }

  private scan(): void {
    const due = [...this.disk.at(-1)!].flatMap(([session, { head }]) => {
      const expires = decodeHead(head).mark ?? Infinity;
      return expires <= this.now.wall ? [{ session, expires }] : [];
    });
    for (const { session } of due) this.store.load(session, this.recordOf(session));
    this.store.due(due, this.now);
  }

  /** What was said since the last call, without renewals. */
  told(): string[] {
    return this.said.splice(0).filter((line) => !/: renew(ed)? \d+$/.test(line));
  }

  /** The next frame with a message of this kind is lost; or the next `times`. */
  lose(kind: Kind, times = 1): this {
    for (let i = 0; i < times; i++) this.fates.push({ kind, fate: 'lost' });
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

  /** The next frame with a message of this kind arrives, and once more when the returned function is called. */
  redeliver(kind: Kind): () => void {
    let arrive: (() => void) | undefined;
    this.fates.push({ kind, fate: (now) => (now(), (arrive = now)) });
    return () => arrive?.();
  }

  /** Nothing is lost, doubled or held back any more. */
  heal(): void {
    this.fates.length = 0;
  }

  /** Another store claims the partition, after the last `lostFlushes` writes were lost with the power. Unsettled frames are delivered to it. */
  takeOver(lostFlushes = 0): void {
    this.disk.length -= lostFlushes;
    this.store = this.claimed();
    const again = [...this.unsettled.values()];
    this.unsettled.clear();
    for (const bytes of again) this.toStore(bytes);
  }

  private claimed(): PartitionMachine {
    const ownership = { since: this.time, longestLeaseMs: this.rules.leaseMs };
    return this.machines.store(0, ++this.epoch, this.rules, ownership);
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
    if (holder.cutOff) return;
    for (const frame of intoFrames(messages)) {
      const bytes = encodeHolderFrame({ partition, holder: name, queue, messages: frame });
      for (const message of frame) this.said.push(`${name}: ${shown(message)}`);
      this.send(frame, () => this.toStore(bytes));
    }
  }

  private toStore(bytes: Uint8Array): void {
    if (this.waiting) return void this.waiting.push(bytes);
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
