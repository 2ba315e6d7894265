/**
 * For specs: a store's machine and the machines of several holders, on virtual time. All messages of a
 * holder's turn travel in one frame, and requests in their own. Each message of a store travels in a frame. A
 * frame takes `hopMs`, and frames keep their order. A test may lose, double or hold back single frames. It
 * may cut a holder's connection, pause either side, let another store take over, or take the last writes away
 * as a power loss does. Either machine may have a rule switched off. The messages are kept as text, to
 * compare them with a transcript.
 */
import { decodeHolderFrame, encodeHolderFrame, encodeStoreFrame } from '../wire/codec.js';
import { intoFrames } from '../wire/frames.js';
import type { HolderParameters } from '../holder/parameters.js';
import { HolderMachine } from '../holder/holder-machine.js';
import type { HolderRules } from '../holder/rules.js';
import type { HolderMessage, HolderPart, StoreMessage } from '../wire/messages.js';
import type { Now } from '../wire/order.js';
import type { StoreParameters } from '../store/parameters.js';
import { PartitionMachine } from '../store/partition-machine.js';
import type { StoreRules } from '../store/rules.js';
import {
  decodeAttribute,
  decodeHead,
  encodeAttribute,
  encodeHead,
  type SessionRecord,
} from '../store/record.js';
import { TestHolder } from './test-holder.js';
import { asTexts, asText } from './message-text.js';

export const testParameters: StoreParameters & HolderParameters = {
  partitions: 1,
  leaseMs: 5_000,
  recallTimeoutMs: 10_000,
  turnMs: 0,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 3_600_000,
  tombstoneMs: 2_400_000,
  destroyedNoticeMs: 60_000,
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

/** The makers of the two sides. A race shows the effect of a rule that is switched off in one of them. */
export interface Machines {
  readonly holder: Partial<HolderRules>;
  readonly store: Partial<StoreRules>;
  /** Each owner claims with this epoch. */
  readonly epoch?: number;
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
  /** The messages since the last `told`, at the time of sending. */
  private readonly said: string[] = [];
  private readonly holders = new Map<string, TestHolder>();
  private readonly onWay: { readonly at: number; readonly arrive: () => void }[] = [];
  private readonly fates: { readonly kind: Kind; readonly fate: Fate }[] = [];
  /** The writes, one entry for each flush with a write. The last one counts. */
  private readonly disk: ReadonlyMap<string, StoredRow>[] = [new Map()];
  private readonly unsettled = new Map<number, Uint8Array>();
  private deliveries = 0;
  private epoch = 0;
  /** The frames that wait on their way to the store. */
  private waiting: { readonly arrive: () => void; readonly isEcho: boolean }[] | undefined;
  /** How many echoes the store has sent. */
  echoes = 0;
  private paused = false;
  private readonly machines: Machines;

  constructor(
    private readonly parameters: StoreParameters & HolderParameters = testParameters,
    machines: Partial<Machines> = {},
  ) {
    this.machines = {
      holder: {},
      store: {},
      ...machines,
    };
    this.store = this.claimed();
  }

  get now(): Now {
    return { mono: this.time, wall: 1_000_000 + this.time };
  }

  /** A holder with a connection. It is made when it is first named. */
  holder(name: string): TestHolder {
    let holder = this.holders.get(name);
    if (!holder)
      this.holders.set(
        name,
        (holder = new TestHolder(name, this, new HolderMachine(this.parameters, this.machines.holder))),
      );
    return holder;
  }

  /** Lets time pass. By default it is enough for an answer and its effects. */
  run(ms = 10 * hopMs): this {
    for (const end = this.time + ms; this.time < end;) {
      this.time++;
      while (this.onWay.length > 0 && this.onWay[0]!.at <= this.time) this.onWay.shift()!.arrive();
      for (const holder of this.holders.values()) holder.tick();
      if (!this.paused) this.storeTimers();
    }
    return this;
  }

  /** Frames to the store wait. */
  holdUp(): void {
    this.waiting = [];
  }

  /** With `echoesFirst` the frames of the store pass those that wait in the connections of holders. */
  letThrough(echoesFirst = false): void {
    const waiting = this.waiting ?? [];
    this.waiting = undefined;
    if (echoesFirst) waiting.sort((a, b) => Number(b.isEcho) - Number(a.isEcho));
    for (const { arrive } of waiting) arrive();
  }

  /** The store's process stands still. */
  pauseStore(): void {
    this.paused = true;
    this.holdUp();
  }

  /** The store goes on. Its timers fire before it reads the frames that waited. */
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
      const expires = decodeHead(head).expiryEntry ?? Infinity;
      return expires <= this.now.wall ? [{ session, expires }] : [];
    });
    for (const { session } of due) this.store.load(session, this.recordOf(session));
    this.store.due(due, this.now);
  }

  /** The messages since the last call, without renewals. */
  told(): string[] {
    return this.said.splice(0).filter((line) => !/: renew(ed)? \d+$/.test(line));
  }

  /** Loses the next frame, or the next `times` frames, with a message of this kind. */
  lose(kind: Kind, times = 1): this {
    for (let i = 0; i < times; i++) this.fates.push({ kind, fate: 'lost' });
    return this;
  }

  /** The next frame with a message of this kind arrives twice. */
  double(kind: Kind): this {
    this.fates.push({ kind, fate: 'twice' });
    return this;
  }

  /**
   * Holds back the next frame with a message of this kind, until the returned function is called. Other
   * frames pass it.
   */
  holdBack(kind: Kind): () => void {
    let arrive: (() => void) | undefined;
    this.fates.push({ kind, fate: (later) => (arrive = later) });
    return () => arrive?.();
  }

  /**
   * The next frame with a message of this kind arrives. It arrives once more when the returned function is
   * called.
   */
  redeliver(kind: Kind): () => void {
    let arrive: (() => void) | undefined;
    this.fates.push({ kind, fate: (now) => (now(), (arrive = now)) });
    return () => arrive?.();
  }

  /** From now on no frame is lost, doubled or held back. */
  heal(): void {
    this.fates.length = 0;
  }

  /**
   * Another store claims the partition, after a power loss took the last `lostFlushes` writes. It gets the
   * unsettled frames.
   */
  takeOver(lostFlushes = 0): void {
    this.disk.length -= lostFlushes;
    this.store = this.claimed();
    const again = [...this.unsettled.values()];
    this.unsettled.clear();
    for (const bytes of again) this.toStore(bytes);
  }

  private claimed(): PartitionMachine {
    const ownership = { since: this.time, longestLeaseMs: this.parameters.leaseMs };
    return new PartitionMachine(
      0,
      this.machines.epoch ?? ++this.epoch,
      this.parameters,
      ownership,
      this.machines.store,
    );
  }

  /** Frames that the store has not acknowledged. */
  get unsettledFrames(): number {
    return this.unsettled.size;
  }

  /** A session's attributes on disk. */
  stored(session: string): Record<string, string> | undefined {
    const row = this.disk.at(-1)!.get(session);
    return row && asTexts([...row.attributes].map(([name, bytes]) => [name, decodeAttribute(bytes).bytes]));
  }

  fromHolder(holder: TestHolder, partition: number, messages: readonly HolderMessage[]): void {
    const { name, queue, machine } = holder;
    const epoch = machine.epochOf(partition);
    if (holder.cutOff) return;
    for (const parts of intoFrames([{ partition, epoch, messages }])) {
      const bytes = encodeHolderFrame({ holder: name, queue, parts });
      const frame = parts.flatMap((part) => part.messages);
      for (const message of frame) this.said.push(`${name}: ${asText(message)}`);
      this.send(frame, () => this.toStore(bytes));
    }
  }

  /** An echo goes through the store's queue like all frames. It comes back to its sender. */
  private sendEcho(store: PartitionMachine, at: number): void {
    this.echoes++;
    const heard = () => {
      if (store !== this.store) return;
      store.echoed(at, this.now);
      store.tick(this.now);
      this.flushStore();
    };
    const arrive = () => (this.waiting ? this.waiting.push({ arrive: heard, isEcho: true }) : heard());
    this.onWay.push({ at: this.time + hopMs, arrive });
  }

  private toStore(bytes: Uint8Array): void {
    if (this.waiting) return void this.waiting.push({ arrive: () => this.toStore(bytes), isEcho: false });
    const [part] = decodeHolderFrame(bytes).parts as [HolderPart];
    for (const id of this.store.missing(part)) this.store.load(id, this.recordOf(id));
    this.unsettled.set(++this.deliveries, bytes);
    this.store.receive(part, this.deliveries, this.now);
    this.flushStore();
  }

  private flushStore(): void {
    const { partition, epoch } = this.store;
    const { writes, messages, settled, echo } = this.store.flush();
    if (writes.length > 0) {
      const disk = new Map(this.disk.at(-1));
      for (const { session, record, set, removed } of writes) {
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
        const bytes = encodeStoreFrame({ key: '', parts: [{ partition, epoch, messages: [message] }] });
        this.said.push(`store → ${queue.split('.')[0]}: ${asText(message)}`);
        this.send([message], () => {
          for (const holder of this.holders.values()) if (holder.queue === queue) holder.receive(bytes);
        });
      }
    }
    for (const delivery of settled) this.unsettled.delete(delivery);
    this.store.sent(this.now);
    if (echo !== undefined) this.sendEcho(this.store, echo);
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
