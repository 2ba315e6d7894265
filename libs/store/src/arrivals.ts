/**
 * What has arrived for a partition: parts of frames, echoes that have come back, and news of queues that are
 * gone. A part that came through the store's own queue is *direct* (rule 22).
 */
import type { Delivery } from '#broker';
import type { HolderPart, Now, PartitionMachine } from '#protocol';
import type { Outbox } from './outbox.js';

/** A part of a frame with the time of its arrival. Leases and waits count from then (rules 2 and 8). */
export interface ReceivedFrame {
  readonly frame: HolderPart;
  readonly delivery: Pick<Delivery, 'ack' | 'session'>;
  readonly at: Now;
  /** It came through the store's own queue, which knows no ownership of a partition (rule 22). */
  readonly isDirect?: true;
}

export type Arrival = ReceivedFrame | { readonly echo: number; readonly at: Now };

/** The sessions that must be loaded before these are stepped. */
export function missingIn(machine: PartitionMachine, arrivals: readonly Arrival[]): Set<string> {
  const ids = new Set<string>();
  for (const one of arrivals) if ('frame' in one) for (const id of machine.missing(one.frame)) ids.add(id);
  return ids;
}

/** Direct parts are not delivered to the next owner. So their holders learn that they are dropped. */
export function disown(arrivals: Iterable<Arrival>, outbox: Outbox): void {
  for (const one of arrivals) {
    if ('echo' in one || !one.isDirect) continue;
    const { partition, queue } = one.frame;
    outbox.send(queue, { partition, epoch: 0, messages: [{ kind: 'disowned' }] });
    outbox.settle(one.delivery);
  }
}

/** Queues that are not there any more: those of holders, and those of sessions. */
export class GoneQueues {
  readonly ofHolders = new Set<string>();
  readonly ofSessions = new Set<string>();

  get isAny(): boolean {
    return this.ofHolders.size > 0 || this.ofSessions.size > 0;
  }

  tell(machine: PartitionMachine, now: Now): void {
    for (const queue of this.ofHolders) machine.unreachable(queue, now);
    for (const session of this.ofSessions) machine.queueGone(session, now);
    this.forget();
  }

  forget(): void {
    this.ofHolders.clear();
    this.ofSessions.clear();
  }
}
