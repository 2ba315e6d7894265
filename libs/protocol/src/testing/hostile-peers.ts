/**
 * For specs: a store's machine with its disk, honest holders and hostile ones. An honest holder is the real
 * machine, which answers at once. A hostile one may send any message under its own name. A model that does
 * not know the store's memory judges the effects of each message.
 */
import { decodeHolderFrame, encodeHolderFrame, encodeStoreFrame } from '../wire/codec.js';
import type { HolderParameters } from '../holder/parameters.js';
import { HolderMachine } from '../holder/holder-machine.js';
import type { HeldGrant } from '../holder/outputs.js';
import type { Acquire, HolderMessage, HolderPart, StoreMessage } from '../wire/messages.js';
import type { Now } from '../wire/order.js';
import { asTexts, changes } from './message-text.js';
import type { StoreParameters } from '../store/parameters.js';
import { PartitionMachine } from '../store/partition-machine.js';
import {
  decodeAttribute,
  decodeHead,
  encodeAttribute,
  encodeHead,
  type RecordWrite,
  type SessionRecord,
} from '../store/record.js';
import { HostileChecker, type Rows } from './hostile-checker.js';
import type { StoreRules } from '../store/rules.js';

/** How often honest holders and the store look at the clock, in milliseconds. */
const stepMs = 500;

/**
 * How a canary of the store differs: in rules that are switched off, and in settings that the checker does
 * not know.
 */
export interface StoreCanary {
  readonly rules?: Partial<StoreRules>;
  readonly parameters?: Partial<StoreParameters>;
}

export class HostilePeers {
  time = 0;
  /** Of each epoch. */
  readonly stores: PartitionMachine[] = [];
  readonly honest = new Map<string, HonestHolder>();
  readonly judge: HostileChecker;
  private rows: Rows = new Map();
  /** Frames that the store has not acknowledged, in the order of their arrival. */
  private readonly unsettled = new Map<number, Uint8Array>();
  private deliveries = 0;

  constructor(
    readonly rules: StoreParameters & HolderParameters,
    private readonly canary: StoreCanary = {},
  ) {
    this.claim();
    this.judge = new HostileChecker(rules, (holder) => this.honest.has(holder));
  }

  /** The present owner of the partition. */
  get store(): PartitionMachine {
    return this.stores.at(-1)!;
  }

  get now(): Now {
    return { mono: this.time, wall: 1_000_000 + this.time };
  }

  /** The rows of a session on disk. */
  row(session: string) {
    return this.judge.read(this.rows.get(session));
  }

  join(name: string): HonestHolder {
    const holder = new HonestHolder(name, this);
    this.honest.set(name, holder);
    return holder;
  }

  /** A message arrives in a frame of its own. All honest holders act on what follows. */
  say(holder: string, queue: string, message: HolderMessage): void {
    this.deliver(
      encodeHolderFrame({ holder, queue, parts: [{ partition: 0, epoch: 0, messages: [message] }] }),
    );
    this.settle();
  }

  /** The same for an acquire that comes out of its session's own queue, some time after it was put there. */
  ask(holder: string, queue: string, acquire: Acquire): void {
    const bytes = encodeHolderFrame({
      holder,
      queue,
      parts: [{ partition: 0, epoch: 0, messages: [acquire] }],
    });
    this.deliver(bytes, (frame) => this.store.receiveQueued(frame, this.deliveries, this.now));
    this.settle();
  }

  pass(ms: number): void {
    for (const end = this.time + ms; this.time < end;) {
      this.time = Math.min(end, this.time + stepMs);
      for (const holder of this.honest.values()) holder.tick();
      this.settle();
      if (this.store.nextDeadline <= this.time) this.act(() => this.store.tick(this.now));
      this.settle();
    }
  }

  /** The store looks for sessions that are due. */
  scan(): void {
    const named = [...this.rows.keys()].flatMap((session) => {
      const { expiryEntry: expires } = this.row(session)!.head;
      return expires !== undefined && expires <= this.now.wall ? [{ session, expires }] : [];
    });
    for (const { session } of named) this.load(session);
    this.act(() => this.store.due(named, this.now));
    this.settle();
  }

  unreachable(queue: string): void {
    this.act(() => this.store.unreachable(queue, this.now));
    this.settle();
  }

  /** Another store claims the partition. It gets the deliveries that the last one had not acknowledged. */
  takeOver(): void {
    this.claim();
    const again = [...this.unsettled.values()];
    this.unsettled.clear();
    for (const bytes of again) this.deliver(bytes);
    this.settle();
  }

  /** Throws when memory holds something that should be gone. */
  evict(): void {
    this.store.evict(0);
    this.judge.memory(this.store, this.unsettled.size);
  }

  /** All honest holders send their messages, until none has any more. */
  settle(): void {
    for (let quiet = false; !quiet;) {
      quiet = true;
      for (const { name: holder, queue, machine } of this.honest.values()) {
        for (const message of [...machine.takeMessages().values()].flat()) {
          quiet = false;
          const epoch = machine.epochOf(0);
          const parts = [{ partition: 0, epoch, messages: [message] }];
          this.deliver(encodeHolderFrame({ holder, queue, parts }));
        }
      }
    }
    for (const holder of this.honest.values()) holder.compare();
  }

  private claim(): void {
    const ownership = { since: this.time, longestLeaseMs: this.rules.leaseMs };
    const { parameters, rules } = this.canary;
    const all = { ...this.rules, ...parameters };
    this.stores.push(new PartitionMachine(0, this.stores.length + 1, all, ownership, rules));
  }

  private deliver(
    bytes: Uint8Array,
    receive = (part: HolderPart) => this.store.receive(part, this.deliveries, this.now),
  ): void {
    const [part] = decodeHolderFrame(bytes).parts as [HolderPart];
    for (const id of this.store.missing(part)) this.load(id);
    this.unsettled.set(++this.deliveries, bytes);
    const [message] = part.messages;
    const by = { who: part.holder, queue: part.queue, message: message! };
    this.act(() => receive(part), by);
  }

  private load(id: string): void {
    const row = this.row(id);
    const rows = [...(this.rows.get(id)?.attributes ?? [])];
    const attributes = new Map(rows.map(([name, one]) => [name, decodeAttribute(one)] as const));
    const record: SessionRecord | undefined = row && { ...row.head, attributes };
    this.store.load(id, record);
  }

  /** Runs a step of the store, and writes, judges and sends its outputs. */
  private act(deed: () => void, by?: Parameters<HostileChecker['judge']>[2]): void {
    deed();
    const { writes, messages, open, settled, echo } = this.store.flush();
    this.store.sent(this.now);
    const before = this.rows;
    if (writes.length > 0) this.rows = written(before, writes);
    for (const delivery of settled) this.unsettled.delete(delivery);
    const sent = [...messages].flatMap(([queue, list]) => list.map((message) => ({ queue, message })));
    this.judge.judge(before, this.rows, by, sent, this.now);
    this.judge.memory(this.store, this.unsettled.size, false);
    for (const { queue, message } of sent) {
      for (const holder of this.honest.values()) if (holder.queue === queue) holder.hear(message);
    }
    // Half of the queues that the store opens do not exist.
    for (const session of open)
      if (this.deliveries % 2 === 0) this.act(() => this.store.queueGone(session, this.now));
    if (echo === undefined) return;
    this.store.echoed(echo, this.now);
    this.act(() => this.store.tick(this.now));
  }
}

function written(before: Rows, writes: readonly RecordWrite[]): Rows {
  const rows = new Map(before);
  for (const { session, record, set, removed } of writes) {
    if (!record) {
      rows.delete(session);
      continue;
    }
    const attributes = new Map(rows.get(session)?.attributes);
    for (const name of removed) attributes.delete(name);
    for (const name of set) attributes.set(name, encodeAttribute(record.attributes.get(name)!));
    const head = encodeHead(record);
    decodeHead(head); // it must be possible to read each row
    rows.set(session, { head, attributes });
  }
  return rows;
}

/** A holder that keeps the rules. It gives a recalled lock back at its next tick. */
export class HonestHolder {
  readonly queue: string;
  readonly machine: HolderMachine;
  readonly held = new Map<string, HeldGrant>();
  /** How each request last ended. */
  readonly answers = new Map<string, string>();
  private readonly asked = new Set<string>();
  private readonly deadlines = new Map<string, number>();

  constructor(
    readonly name: string,
    private readonly siege: HostilePeers,
  ) {
    this.queue = `${name}.1`;
    this.machine = new HolderMachine(siege.rules);
    this.machine.connected(siege.now);
  }

  want(session: string, waitMs: number, create: Record<string, string>): void {
    const { time, now } = this.siege;
    if (this.held.has(session)) return;
    this.deadlines.set(session, time + waitMs);
    this.machine.want(session, time + waitMs, changes(create).set, now);
  }

  commit(session: string, set: Record<string, string>, removed: string[]): void {
    const grant = this.held.get(session);
    if (grant) this.machine.commit(grant, changes(set, removed), this.siege.now);
  }

  release(session: string, set: Record<string, string> = {}): void {
    const grant = this.held.get(session);
    this.held.delete(session);
    this.asked.delete(session);
    if (grant) this.machine.release(grant, changes(set), this.siege.now);
  }

  destroy(session: string): void {
    const grant = this.held.get(session);
    this.held.delete(session);
    if (grant) this.machine.destroy(grant, this.siege.now);
  }

  giveUp(session: string): void {
    this.deadlines.delete(session);
    this.machine.giveUp(session);
  }

  tick(): void {
    for (const session of [...this.asked]) this.release(session);
    for (const [session, deadline] of this.deadlines) if (deadline <= this.siege.time) this.giveUp(session);
    this.machine.tick(this.siege.now);
  }

  hear(message: StoreMessage): void {
    const { partition, epoch } = this.siege.store;
    // It must be possible to send each message.
    encodeStoreFrame({ key: '', parts: [{ partition, epoch, messages: [message] }] });
    this.machine.receive({ partition, epoch, messages: [message] }, this.siege.now);
    for (const event of this.machine.takeEvents()) {
      if (event.kind === 'partitions') continue;
      const session = event.kind === 'refused' ? event.session : event.grant.session;
      if (event.kind === 'lost') throw new Error(`${this.name} lost ${session}: ${event.why}`);
      if (event.kind === 'refused') this.answers.set(session, event.why);
      if (event.kind === 'granted') {
        this.answers.set(session, 'granted');
        this.held.set(session, event.grant);
      }
      if (event.kind === 'refused' || event.kind === 'granted') this.deadlines.delete(session);
      if (event.kind === 'recalled' || (event.kind === 'granted' && event.contended)) this.asked.add(session);
    }
  }

  /** The store has its locks as its own, too, with the changes that it made. */
  compare(): void {
    for (const [session, { token, attributes }] of this.held) {
      const row = this.siege.row(session);
      const mine = asTexts([...attributes].map(([name, { bytes }]) => [name, bytes]));
      const grant = row?.head.grant;
      if (grant?.holder !== this.name || grant.revoked || grant.token.join() !== token.join())
        throw new Error(`${session} is not ${this.name}'s any more at the store`);
      if (JSON.stringify(sorted(mine)) !== JSON.stringify(sorted(row!.attributes)))
        throw new Error(`${session} has ${JSON.stringify(row!.attributes)}, not ${JSON.stringify(mine)}`);
    }
  }
}

const sorted = (texts: Record<string, string>) =>
  Object.entries(texts).sort(([one], [other]) => (one < other ? -1 : 1));
