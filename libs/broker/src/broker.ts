/**
 * The port `Broker`: how frames travel between holders and stores. Frames are opaque bytes here.
 *
 * What every adapter promises:
 * - Order: frames that one party sends to one destination arrive in the order of sending, or not at all. A link
 *   that is cut loses what was under way; nothing is stored for later.
 * - One owner: of all parties that serve a partition, one at a time is delivered its frames. When it goes, or abandons
 *   its turn, everything that it had not acknowledged is delivered, in the original order and before anything
 *   newer, to the next one (perhaps itself).
 * - Nothing is delivered twice within one turn. Delivery is not guaranteed: senders repeat what matters to them.
 * - Adapters reconnect by themselves, for ever, until closed; `send` never throws and never waits: without a
 *   connection it drops the frame and returns false.
 */
export interface Broker {
  /** Joins the line of those who serve `partition`. Resolves when in line for the first time. */
  serve(partition: number, options: ServeOptions, server: PartitionServer): Promise<PartitionLink>;

  /** Opens the holder's own queue, a new one with every connection. Resolves when open for the first time. */
  join(holder: string, client: HolderClient): Promise<HolderLink>;

  /** Closes every link. What was sent before is delivered first where the connection still stands. */
  close(): Promise<void>;
}

export interface ServeOptions {
  /** How many unacknowledged frames may be with this server at once (1 to 65,535). */
  readonly prefetch: number;
}

/** What the one who serves a partition must handle. Calls come one at a time and must not throw. */
export interface PartitionServer {
  received(delivery: Delivery): void;
  /**
   * This turn is over: the channel died or was abandoned. All its deliveries are void (they go to the next in
   * line) and their `ack` does nothing. The adapter gets in line again by itself.
   */
  lost(reason: string): void;
}

export interface Delivery {
  readonly bytes: Uint8Array;
  /** Says that all of this frame is settled: it will never be delivered again. */
  ack(): void;
}

/** A place in the line of those who serve one partition. */
export interface PartitionLink {
  /** Sends a frame to a holder's queue. A queue that is gone swallows it. False when there is no connection. */
  send(queue: string, bytes: Uint8Array): boolean;
  /** Gives up the turn: unacknowledged frames go to the next in line, and this server gets in line anew. */
  abandon(): void;
  /** Leaves the line for good, after what was sent and acknowledged has reached the broker. */
  close(): Promise<void>;
}

/** What a holder must handle. Calls come one at a time and must not throw. */
export interface HolderClient {
  /** A connection stands; answers reach this holder at `queue`. Never the same name twice. */
  connected(queue: string): void;
  /** The connection is gone, and `queue` with all that was under way. */
  disconnected(reason: string): void;
  received(bytes: Uint8Array): void;
}

export interface HolderLink {
  /** Sends a frame to whoever serves `partition`. False when there is no connection. */
  send(partition: number, bytes: Uint8Array): boolean;
  close(): Promise<void>;
}
