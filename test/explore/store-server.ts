/**
 * An explored store: the real partition's machine, driven as the store's driver does, one frame in each
 * batch. It claims the partition when it is delivered something, and forgets all when a write does not end
 * well (rule 13).
 */
import {
  PartitionMachine,
  storeRules,
  type ClaimedEpochs,
  type HolderPart,
  type Now,
  type StoreMessage,
  type StoreParameters,
  type StoreRules,
} from '#protocol';
import { apply, claim, type Disk } from './disk.js';
import { copyOf } from './graph.js';
import { Violation } from './marks.js';

/** How a write ends: as it should; or with an error, in truth not done or done all the same. */
export type WriteEnd = 'written' | 'not written' | 'written, but reported as failed';

/** What arrives at once. Without any of it, it is the timer that fires. */
export interface Batch {
  readonly frame?: HolderPart;
  /** The frame came through the store's own queue. */
  readonly isDirect?: true;
  /** The frame came out of this session's own queue, with this number. */
  readonly from?: { readonly session: string; readonly n: number };
  /** This session's own queue is not there. */
  readonly goneQueue?: string;
  /** A frame to this queue of a holder came back. */
  readonly unreachable?: string;
  readonly echo?: number;
  /** A look at the expiry index. Each claim begins with one, too. */
  readonly looksForDue?: true;
}

export interface Answers {
  readonly disk: Disk;
  /** By the queue that they go to. */
  readonly messages: readonly (readonly [queue: string, list: readonly StoreMessage[]])[];
  readonly epoch: number;
  readonly echo: number | undefined;
  /** Queues of sessions that are consumed from now on, or not any more. */
  readonly open: readonly string[];
  readonly close: readonly string[];
  /** What was taken out of queues of sessions, and is settled. */
  readonly settled: readonly { readonly session: string; readonly n: number }[];
  /** What was delivered and not settled, in order, when the store has given the partition up. */
  readonly again: readonly HolderPart[] | undefined;
  /** The log says loudly that the data are older than an app server. */
  readonly warns: boolean;
}

interface Unsettled extends Pick<Batch, 'from' | 'isDirect'> {
  readonly frame: HolderPart;
}

export class StoreServer {
  machine: PartitionMachine | undefined;
  private claimed: ClaimedEpochs = { epoch: 0, previous: 0 };
  /** The highest epoch that a holder has shown (rule 13). */
  private shown = 0;
  private readonly unsettled = new Map<number, Unsettled>();
  /** Where each holder is reached, as the partition's queue has told last. */
  private readonly told = new Map<string, string>();
  private readonly rules: StoreRules;
  /** Tells stores apart that are the same but for their settings, which no fingerprint has. */
  readonly leaseMs = this.parameters.leaseMs;

  constructor(
    /** Of its own queue. */
    readonly key: string,
    private readonly parameters: StoreParameters,
    rules: Partial<StoreRules>,
  ) {
    this.rules = { ...storeRules, ...rules };
  }

  /** Whether the timer may fire. */
  isDue(mono: number): boolean {
    return this.machine !== undefined && this.machine.nextDeadline <= mono;
  }

  /** Whether a write of this store would be done. */
  owns({ epoch }: Disk): boolean {
    return this.machine === undefined || this.machine.epoch === epoch;
  }

  /**
   * Somebody else owns the partition from now on. What came through its queue and was not settled is
   * delivered again.
   */
  forget(): readonly HolderPart[] {
    const again = [...this.unsettled.values()].filter(({ from, isDirect }) => !from && !isDirect);
    this.unsettled.clear();
    this.told.clear();
    this.machine = undefined;
    return again.map(({ frame }) => frame);
  }

  step(batch: Batch, before: Disk, end: WriteEnd, now: Now): Answers {
    const { frame, isDirect, echo, looksForDue } = batch;
    let disk = before;
    if (frame && this.rules.isBelievable(frame.epoch, now.wall))
      this.shown = Math.max(this.shown, frame.epoch);
    const isNew = this.machine === undefined;
    if (isNew) disk = this.claim(disk, now);
    const machine = this.machine!;
    if (this.rules.mustClaimAbove(this.shown, machine.epoch)) {
      const own = frame && !isDirect && !batch.from ? [frame] : [];
      return { ...this.givenUp(disk, [...this.forget(), ...own]), warns: true };
    }
    const verdict = frame && this.rules.judgeShownEpoch(frame.epoch, this.claimed, now.wall);
    const warns = verdict === 'lost';
    if (frame && verdict !== 'unbelievable') this.receive(machine, { ...batch, frame }, disk, now);
    if (echo !== undefined) machine.echoed(echo, now);
    if (batch.goneQueue !== undefined) machine.queueGone(batch.goneQueue, now);
    if (batch.unreachable !== undefined) machine.unreachable(batch.unreachable, now);
    if (isNew || looksForDue) this.endWhatIsDue(machine, disk, now);
    if (isTimer(batch) || machine.nextDeadline <= now.mono) machine.tick(now);
    const { writes, messages, settled, open, close, echo: asked } = machine.flush();
    if (end !== 'not written') disk = apply(disk, writes);
    if (end !== 'written') return { ...this.givenUp(disk, this.forget()), warns };
    this.judgeWays(messages);
    const done = settled.flatMap((delivery) => this.unsettled.get(delivery)?.from ?? []);
    for (const delivery of settled) this.unsettled.delete(delivery);
    machine.sent(now);
    const { epoch } = machine;
    const queues = { open, close, settled: done };
    return { disk, messages: [...messages], epoch, echo: asked, ...queues, again: undefined, warns };
  }

  private receive(machine: PartitionMachine, batch: Unsettled, disk: Disk, now: Now): void {
    const { frame, from, isDirect } = batch;
    for (const id of machine.missing(frame)) machine.load(id, copyOf(disk.records.get(id)));
    // The least number that is free: how many came before makes no difference.
    let delivery = 1;
    while (this.unsettled.has(delivery)) delivery++;
    if (!from && !isDirect) this.told.set(frame.holder, frame.queue);
    this.unsettled.set(delivery, { frame, ...(from && { from }), ...(isDirect && { isDirect }) });
    if (from) machine.receiveQueued(frame, delivery, now);
    else if (isDirect) machine.receiveDirect(frame, delivery, now);
    else machine.receive(frame, delivery, now);
  }

  /**
   * Rule 22: nothing but the answer to an older request goes to a queue when the holder has told of a newer
   * one.
   */
  private judgeWays(messages: Iterable<readonly [queue: string, list: readonly StoreMessage[]]>): void {
    for (const [queue, list] of messages) {
      const [holder, connection] = queue.split('.') as [string, string];
      const told = this.told.get(holder)?.split('.')[1] ?? connection;
      const lost = list.find(({ kind }) => kind !== 'grant' && kind !== 'refused');
      if (lost && Number(told) > Number(connection))
        throw new Violation(`${holder} is told '${lost.kind}' where it is not any more, as the store knows`);
    }
  }

  private claim(before: Disk, now: Now): Disk {
    const { leaseMs } = this.parameters;
    const disk = claim(before, Math.max(Math.floor(now.wall), this.shown + 1), leaseMs);
    this.claimed = { epoch: disk.epoch, previous: disk.previous };
    const ownership = { since: now.mono, longestLeaseMs: disk.longestLeaseMs };
    this.machine = new PartitionMachine(0, disk.epoch, this.parameters, ownership, this.rules);
    return disk;
  }

  private endWhatIsDue(machine: PartitionMachine, { records }: Disk, now: Now): void {
    const due = dueIn(records, now.wall);
    for (const { session } of due) machine.load(session, copyOf(records.get(session)));
    machine.due(due, now);
  }

  private givenUp(disk: Disk, again: readonly HolderPart[]): Answers {
    const none = { messages: [], open: [], close: [], settled: [] };
    return { disk, ...none, epoch: 0, echo: undefined, again, warns: false };
  }
}

/** The machine looks at the time when its timer fires, and when an echo has come back. */
function isTimer({ frame, goneQueue, unreachable }: Batch): boolean {
  return frame === undefined && goneQueue === undefined && unreachable === undefined;
}

/** The sessions that the expiry index names as due. */
export function dueIn(records: Disk['records'], wall: number): { session: string; expires: number }[] {
  return [...records].flatMap(([session, { expiryEntry }]) =>
    expiryEntry !== undefined && expiryEntry <= wall ? [{ session, expires: expiryEntry }] : [],
  );
}
