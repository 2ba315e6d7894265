/**
 * For specs: a store's machine with its disk, honest holders (the real machine, with answers at once) and anybody else, who may say what he
 * likes under his own name. After every message a model that knows nothing of the store's inside judges what has come of it.
 */
import { decodeHolderFrame, encodeHolderFrame, encodeStoreFrame } from './codec.js';
import type { HolderRules } from './holder-desk.js';
import { HolderMachine } from './holder-machine.js';
import type { HeldGrant } from './holder-outputs.js';
import type { Acquire, HolderFrame, HolderMessage, StoreMessage } from './messages.js';
import type { Now } from './order.js';
import { asText, changes } from './words.harness.js';
import type { StoreRules } from './partition-desk.js';
import { PartitionMachine } from './partition-machine.js';
import { decodeAttribute, decodeHead, encodeAttribute, encodeHead, type SessionRecord } from './record.js';
import { Judge, type Rows } from './siege.judge.js';
import type { RecordWrite } from './store-outputs.js';

/** How often honest holders and the store look at the clock, in milliseconds. */
const stepMs = 500;

export class Siege {
  time = 0;
  /** Of each epoch. */
  readonly stores: PartitionMachine[] = [];
  readonly honest = new Map<string, HonestHolder>();
  readonly judge: Judge;
  private rows: Rows = new Map();
  /** Frames that the store has not acknowledged, in the order of their coming. */
  private readonly unsettled = new Map<number, Uint8Array>();
  private deliveries = 0;

  constructor(
    readonly rules: StoreRules & HolderRules,
    private readonly makeStore = (...of: ConstructorParameters<typeof PartitionMachine>) =>
      new PartitionMachine(...of),
  ) {
    this.claim();
    this.judge = new Judge(rules, (holder) => this.honest.has(holder));
  }

  /** Whoever owns the partition now. */
  get store(): PartitionMachine {
    return this.stores.at(-1)!;
  }

  get now(): Now {
    return { mono: this.time, wall: 1_000_000 + this.time };
  }

  /** What is on disk of a session. */
  row(session: string) {
    return this.judge.read(this.rows.get(session));
  }

  join(name: string): HonestHolder {
    const holder = new HonestHolder(name, this);
    this.honest.set(name, holder);
    return holder;
  }

  /** A message arrives, in a frame of its own, and all that follows from it among the honest. */
  say(holder: string, queue: string, message: HolderMessage): void {
    this.deliver(encodeHolderFrame({ partition: 0, holder, queue, messages: [message] }));
    this.settle();
  }

  /** The same with an acquire that comes out of its session's own queue, some time after it was put there. */
  ask(holder: string, queue: string, acquire: Acquire): void {
    const bytes = encodeHolderFrame({ partition: 0, holder, queue, messages: [acquire] });
    this.deliver(bytes, (frame) => this.store.receiveAsk(frame, this.deliveries, this.now));
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
      const { mark } = this.row(session)!.head;
      return mark !== undefined && mark <= this.now.wall ? [{ session, expires: mark }] : [];
    });
    for (const { session } of named) this.load(session);
    this.act(() => this.store.due(named, this.now));
    this.settle();
  }

  unreachable(queue: string): void {
    this.act(() => this.store.unreachable(queue, this.now));
    this.settle();
  }

  /** Another store claims the partition, and is delivered what the last one had not acknowledged. */
  takeOver(): void {
    this.claim();
    const again = [...this.unsettled.values()];
    this.unsettled.clear();
    for (const bytes of again) this.deliver(bytes);
    this.settle();
  }

  /** Throws when something is kept that should have been forgotten. */
  evict(): void {
    this.store.evict(0);
    this.judge.memory(this.store, this.unsettled.size);
  }

  /** Everybody honest says what he has to say, until there is nothing more. */
  settle(): void {
    for (let quiet = false; !quiet;) {
      quiet = true;
      for (const { name, queue, machine } of this.honest.values()) {
        for (const messages of machine.takeMessages().values()) {
          quiet = false;
          for (const one of messages)
            this.deliver(encodeHolderFrame({ partition: 0, holder: name, queue, messages: [one] }));
        }
      }
    }
    for (const holder of this.honest.values()) holder.compare();
  }

  private claim(): void {
    const ownership = { since: this.time, longestLeaseMs: this.rules.leaseMs };
    this.stores.push(this.makeStore(0, this.stores.length + 1, this.rules, ownership));
  }

  private deliver(
    bytes: Uint8Array,
    receive = (frame: HolderFrame) => this.store.receive(frame, this.deliveries, this.now),
  ): void {
    const frame = decodeHolderFrame(bytes);
    for (const id of this.store.missing(frame)) this.load(id);
    this.unsettled.set(++this.deliveries, bytes);
    const [message] = frame.messages;
    const by = { who: frame.holder, queue: frame.queue, message: message! };
    this.act(() => receive(frame), by);
  }

  private load(id: string): void {
    const row = this.row(id);
    const rows = [...(this.rows.get(id)?.attributes ?? [])];
    const attributes = new Map(rows.map(([name, one]) => [name, decodeAttribute(one)] as const));
    const record: SessionRecord | undefined = row && { ...row.head, attributes };
    this.store.load(id, record);
  }

  /** Something is done with the store; what comes of it is written, judged and sent. */
  private act(deed: () => void, by?: Parameters<Judge['judge']>[2]): void {
    deed();
    const { writes, messages, open, settled } = this.store.flush();
    const before = this.rows;
    if (writes.length > 0) this.rows = written(before, writes);
    for (const delivery of settled) this.unsettled.delete(delivery);
    const sent = [...messages].flatMap(([queue, list]) => list.map((message) => ({ queue, message })));
    this.judge.judge(before, this.rows, by, sent, this.now);
    this.judge.memory(this.store, this.unsettled.size, false);
    for (const { queue, message } of sent) {
      for (const holder of this.honest.values()) if (holder.queue === queue) holder.hear(message);
    }
    // Every other queue that is to be opened is not there.
    for (const session of open)
      if (this.deliveries % 2 === 0) this.act(() => this.store.queueGone(session, this.now));
  }
}

function written(before: Rows, writes: readonly RecordWrite[]): Rows {
  const rows = new Map(before);
  for (const { session, record, set, delete: removed } of writes) {
    if (!record) {
      rows.delete(session);
      continue;
    }
    const attributes = new Map(rows.get(session)?.attributes);
    for (const name of removed) attributes.delete(name);
    for (const name of set) attributes.set(name, encodeAttribute(record.attributes.get(name)!));
    const head = encodeHead(record);
    decodeHead(head); // what is written can be read
    rows.set(session, { head, attributes });
  }
  return rows;
}

/** A process that keeps the rules, and gives back what is asked back when it looks at the clock next. */
export class HonestHolder {
  readonly queue: string;
  readonly machine: HolderMachine;
  readonly held = new Map<string, HeldGrant>();
  /** How each request ended last. */
  readonly answers = new Map<string, string>();
  private readonly asked = new Set<string>();
  private readonly deadlines = new Map<string, number>();

  constructor(
    readonly name: string,
    private readonly siege: Siege,
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
    this.machine.giveUp(session, this.siege.now);
  }

  tick(): void {
    for (const session of [...this.asked]) this.release(session);
    for (const [session, deadline] of this.deadlines) if (deadline <= this.siege.time) this.giveUp(session);
    this.machine.tick(this.siege.now);
  }

  hear(message: StoreMessage): void {
    const { partition, epoch } = this.siege.store;
    encodeStoreFrame({ partition, epoch, messages: [message] }); // it can be said
    this.machine.receive({ version: 1, partition, epoch, messages: [message] }, this.siege.now);
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

  /** What it holds is its own at the store, too, and with what it has done. */
  compare(): void {
    for (const [session, { token, attributes }] of this.held) {
      const row = this.siege.row(session);
      const mine = asText([...attributes].map(([name, { bytes }]) => [name, bytes]));
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
