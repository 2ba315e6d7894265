/** A way of the simulated broker, and a frame on it. */
import type { World } from './world.js';

export interface Frame {
  readonly bytes: Uint8Array;
  readonly sender: string;
  /** A store's message to itself, under this ownership. */
  readonly echo?: { readonly mark: number; readonly ownership: number };
}

/** One way of a link. It keeps the order of its frames. */
export class Hop {
  private free = 0;
  constructor(private readonly world: World) {}

  /** For a while nothing gets through. Frames that are under way arrive then. */
  stall(ms: number): void {
    this.free = Math.max(this.free, this.world.time + ms);
  }

  carry(delayMs: number, arrive: () => void): void {
    this.free = Math.max(this.free, this.world.time + delayMs);
    this.world.after(this.free - this.world.time, arrive);
  }
}
