/**
 * The port `Broker`: how frames travel between holders and stores. Frames are opaque bytes here.
 *
 * What every adapter promises:
 * - Order: frames that one party sends to one destination arrive in the order of sending, or not at all. A link
 *   that is cut loses what was under way; nothing is stored for later.
 * - One owner: of all parties that serve a partition, one at a time is delivered its frames. When it goes, or abandons
 *   its turn, everything that it had not acknowledged is delivered, in the original order and before anything
 *   newer, to the next one (perhaps itself).
 * - A session may have a queue of its own, for frames that wait long (rule 21). Whoever has the turn of a partition opens and closes those queues as
 *   it likes; a frame is delivered from it in order, and waits unacknowledged with the turn like all others. The queue is made by the first who puts something into it, and goes by itself when nobody has used it for
 *   long.
 * - Nothing is delivered twice within one turn. Delivery is not guaranteed: senders repeat what matters to them.
 * - Adapters reconnect by themselves, for ever, until closed; `send` never throws and never waits: without a
 *   connection, or with too much waiting before it, it drops the frame and returns false.
 * - Calls: a party is never called from inside a call of its own (`send`, `ack`, `abandon`), not before the
 *   promise of its link has resolved, and not after it began to close.
 * - Bytes: what was handed to `send` must not be changed afterwards. What was received may be part of a larger
 *   buffer: copy what is kept for long.
 */
export interface Broker {
  /** Joins the line of those who serve `partition`. Resolves when in line for the first time. */
  serve(partition: number, options: ServeOptions, server: PartitionServer): Promise<PartitionLink>;

  /** Opens the holder's own queue, a new one with every connection. Resolves when open for the first time. */
  join(holder: string, client: HolderClient): Promise<HolderLink>;

  /**
   * Closes every link. What was sent before is delivered first where the connection still stands. A `serve` or
   * `join` that still waits is rejected, and so are later ones.
   */
  close(): Promise<void>;

  /** What this party has done so far: a live view, cheap to read. */
  readonly counters: BrokerCounters;
}

export interface BrokerCounters {
  readonly framesSent: number;
  readonly framesReceived: number;
  /** Frames for which `send` returned false. */
  readonly framesDropped: number;
  readonly reconnects: number;
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
  /** A frame that was sent to this holder's queue came back, because there is no such queue: its holder has gone, or has another one. */
  unreachable(queue: string): void;
  /** The queue of this session, which was to be open, is not there, or not any more. */
  queueGone(session: string): void;
}

export interface Delivery {
  readonly bytes: Uint8Array;
  /** The session in whose own queue the frame waited; undefined when it came to the partition. */
  readonly session: string | undefined;
  /** What the sender calls itself: its queue. For logs, and not to be relied on. */
  readonly sender: string | undefined;
  /** Says that all of this frame is settled: it will never be delivered again. */
  ack(): void;
}

/** A place in the line of those who serve one partition. */
export interface PartitionLink {
  /** Sends a frame to a holder's queue; if that is gone, the server is told by `unreachable`. False when there is no connection. */
  send(queue: string, bytes: Uint8Array): boolean;
  /** Delivers from the session's own queue, so that `sessionPrefetch` frames of it are unacknowledged at once, until it is closed or the turn ends. */
  openQueue(session: string): void;
  /** Delivers nothing more from it, but for what was under way. */
  closeQueue(session: string): void;
  /** Gives up the turn: unacknowledged frames go to the next in line, and this server gets in line anew. */
  abandon(): void;
  /** Leaves the line for good, after what was sent and acknowledged has reached the broker. */
  close(): Promise<void>;
}

/** What a holder must handle. Calls come one at a time and must not throw. */
export interface HolderClient {
  /** A connection stands; frames reach this holder at `queue`. Never the same name twice. */
  connected(queue: string): void;
  /** The connection is gone, and `queue` with all that was under way. */
  disconnected(reason: string): void;
  received(bytes: Uint8Array): void;
}

/** What became of a frame for a session's own queue: it waits there; or not, for as many as there may be wait already, or because the connection is gone. */
export type Asked = 'queued' | 'full' | 'lost';

export interface AskOptions {
  /** Most frames that may wait there before this one, as far as they are counted already. */
  readonly most: number;
  /** How long it waits at most, in milliseconds. */
  readonly ttlMs: number;
}

/** Frames of one session's queue that are with the one who has the turn: the second one shows that more than one waits. */
export const sessionPrefetch = 2;

export interface HolderLink {
  /** Sends a frame to whoever serves `partition`. False when there is no connection. */
  send(partition: number, bytes: Uint8Array): boolean;
  /** Puts a frame into the session's own queue, which is made when it is not there. What is sent afterwards may overtake it. */
  ask(session: string, bytes: Uint8Array, options: AskOptions): Promise<Asked>;
  close(): Promise<void>;
}
