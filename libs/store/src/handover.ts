/**
 * Hands frames over to a transport and from there to their partitions. All frames of one turn of the event
 * loop go in one call, in the order of their arrival. An echo keeps its place among them, since it tells that
 * every frame before it has been read (rule 10).
 */
import type { Delivery } from '#broker';
import type { HolderFrame, HolderPart } from '#protocol';
import type { Way } from './echoes.js';

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
  echoed(mark: number, ownership: number, way: Way): void;
}

export interface DirectReceiver {
  /** A part came through the store's own queue. `settled` is called once. */
  receiveDirect(part: HolderPart, settled: () => void): void;
}

type Arrived =
  | { readonly frame: HolderFrame; readonly take: (isAccepted: boolean) => void }
  | { readonly to: Receiver; readonly ownership: number; readonly mark: number; readonly way: Way };

export class Handover {
  private arrived: Arrived[] = [];

  constructor(private readonly dispatch: Dispatch) {}

  frame(to: Receiver, frame: HolderFrame, delivery: Delivery): void {
    const { ownership } = to;
    const take = (isAccepted: boolean) => {
      if (isAccepted) to.receive(frame.parts[0]!, delivery, ownership);
    };
    this.add({ frame, take });
  }

  /** A frame of the store's own queue. It is settled when all its parts are, or when it does not count. */
  direct(toOf: (part: HolderPart) => DirectReceiver, frame: HolderFrame, delivery: Delivery): void {
    let left = frame.parts.length;
    const settled = () => {
      if (--left === 0) delivery.ack();
    };
    const take = (isAccepted: boolean) => {
      if (!isAccepted) return delivery.ack();
      for (const part of frame.parts) toOf(part).receiveDirect(part, settled);
    };
    this.add({ frame, take });
  }

  echo(to: Receiver, mark: number, way: Way): void {
    this.add({ to, ownership: to.ownership, mark, way });
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
        if ('mark' in one) one.to.echoed(one.mark, one.ownership, one.way);
        else one.take(counted?.has(one.frame) ?? true);
    });
  }
}
