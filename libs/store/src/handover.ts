/**
 * Hands frames over to a transport and from there to their partitions. All frames of one turn of the event
 * loop go in one call, in the order of their arrival. An echo keeps its place among them, since it tells that
 * every frame before it has been read (rule 10).
 */
import type { Delivery } from '#broker';
import type { HolderFrame, HolderPart } from '#protocol';

/**
 * Takes the frames of one turn. It calls `accept` once with those that count, before it takes the next ones.
 * The frames of echoes alone are none.
 */
export type Dispatch = (
  frames: readonly HolderFrame[],
  accept: (frames: readonly HolderFrame[]) => void,
) => void;

/** A partition, as this sees it. */
export interface Receiver {
  /** Numbers the ownerships of the partition. What was delivered in an earlier one is void. */
  readonly ownership: number;
  receive(part: HolderPart, delivery: Delivery, ownership: number): void;
  echoed(mark: number, ownership: number): void;
}

type Arrived = { readonly to: Receiver; readonly ownership: number } & (
  { readonly frame: HolderFrame; readonly delivery: Delivery } | { readonly mark: number }
);

export class Handover {
  private arrived: Arrived[] = [];

  constructor(private readonly dispatch: Dispatch) {}

  frame(to: Receiver, frame: HolderFrame, delivery: Delivery): void {
    this.add({ to, ownership: to.ownership, frame, delivery });
  }

  echo(to: Receiver, mark: number): void {
    this.add({ to, ownership: to.ownership, mark });
  }

  private add(one: Arrived): void {
    if (this.arrived.push(one) === 1) queueMicrotask(() => this.handOver());
  }

  private handOver(): void {
    const { arrived } = this;
    this.arrived = [];
    const frames = arrived.flatMap((one) => ('frame' in one ? [one.frame] : []));
    this.dispatch(frames, (accepted) => {
      const counted = accepted === frames ? undefined : new Set(accepted);
      for (const one of arrived)
        if ('mark' in one) one.to.echoed(one.mark, one.ownership);
        else if (counted?.has(one.frame) ?? true)
          one.to.receive(one.frame.parts[0]!, one.delivery, one.ownership);
    });
  }
}
