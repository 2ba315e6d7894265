/**
 * The port `Broker`: how frames travel between holders and stores. Frames are opaque bytes here.
 *
 * What every adapter promises:
 * - Order: frames that one party sends to one destination arrive in the order of sending, or not at all. A
 *   link that is cut loses the frames under way. No frame is stored for later.
 * - One owner: of all parties that serve a partition, one at a time has the turn and receives its frames.
 *   When it goes, or abandons its turn, the next one (perhaps itself) receives every frame that was not
 *   acknowledged, in the original order and before newer ones.
 * - A session may have a queue of its own, for frames that wait long (rule 21). The party that has the turn
 *   opens and closes those queues. Their frames are delivered in order, and wait unacknowledged with the turn
 *   like all others. The first frame makes the queue. A queue that nobody has used for long is removed.
 * - A store has a queue of its own beside those of partitions. A holder that knows its key sends frames
 *   there. A queue ends with its connection, with what waits in it. A frame to a key whose queue is gone
 *   comes back to the holder, or is lost. A store sends its frames to holders from there, too.
 * - A party may send itself an *echo* through its own queue, or through a partition's queue while it has the
 *   turn. When the echo comes back, every frame before it in the queue has been delivered. An echo comes back
 *   within its turn or connection, or never, and to no other party.
 * - No frame is delivered twice within one turn. Delivery is not guaranteed, so senders repeat what matters
 *   to them.
 * - Reconnecting: an adapter reconnects until it is closed. `send` never throws and never waits. Without a
 *   connection, or with too much waiting before it, it drops the frame and returns false.
 * - Calls: a party is never called from inside a call of its own (`send`, `ack`, `abandon`), not before the
 *   promise of its link has resolved, and not after it began to close.
 * - Bytes: the caller does not change bytes after `send`. Received bytes may be part of a larger buffer, so
 *   the receiver copies what it keeps for long.
 */
export interface Broker {
  /**
   * Joins the queue of the parties that serve `partition`. Resolves when it is in the queue for the first
   * time. Rejects when the broker has a queue or a limit that only an operator can change.
   */
  serve(partition: number, options: ServeOptions, server: PartitionServer): Promise<PartitionLink>;

  /**
   * Opens the store's own queue, a new one for every connection. Resolves when it is open for the first time.
   * Rejects as `serve` does.
   */
  openStore(options: ServeOptions, server: StoreServer): Promise<StoreLink>;

  /**
   * Opens the holder's own queue, a new one for every connection. Resolves when it is open for the first
   * time.
   */
  join(holder: string, client: HolderClient): Promise<HolderLink>;

  /**
   * Closes every link. Frames that were sent before are delivered first, while the connection stands. Rejects
   * a `serve`, `openStore` or `join` that waits, and later ones.
   */
  close(): Promise<void>;

  /** What this party has done so far. It is a live view. */
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

/** The calls to a party that serves a partition. They come one at a time, and must not throw. */
export interface PartitionServer {
  received(delivery: Delivery): void;
  /**
   * This turn is over, because the channel died or was abandoned. All its deliveries are void: the next party
   * receives them, and their `ack` does nothing. The adapter joins the queue again.
   */
  lost(reason: string): void;
  /** The queue of this session was to be open, and is not there. */
  queueGone(session: string): void;
  /**
   * The echo with this mark has come back. Every frame before it in the partition's queue has been delivered.
   */
  echoed(mark: number): void;
}

/** The calls to a store about its own queue. They come one at a time, and must not throw. */
export interface StoreServer {
  /** A connection stands. Frames to `key`, which is never the same twice, reach this store. */
  opened(key: string): void;
  /** The connection is gone, and with it the queue. The deliveries are void. */
  closed(reason: string): void;
  received(delivery: Delivery): void;
  /**
   * A frame to this holder's queue came back, because there is no such queue. Its holder has gone, or has
   * another queue.
   */
  unreachable(queue: string): void;
  /** The echo with these marks has come back through the store's own queue. */
  echoed(partition: number, mark: number): void;
}

export interface Delivery {
  readonly bytes: Uint8Array;
  /** The session in whose own queue the frame waited. Undefined when it came to a partition or a store. */
  readonly session: string | undefined;
  /** The queue that the sender names as its own. It is for logs, and may be wrong. */
  readonly sender: string | undefined;
  /** All of this frame is settled. It is not delivered again. */
  ack(): void;
}

/**
 * A broker may have a limit on the size of messages, and close the channel that sends a larger one. The
 * adapter learns the limit when a connection meets it. Then it sends no larger frames.
 */
interface FrameLimit {
  /** The most bytes that the broker takes in one frame. Infinity while it is not known. */
  readonly maxFrameBytes: number;
}

/** A place in the queue of the parties that serve one partition. */
export interface PartitionLink {
  /**
   * Sends an echo, for which `echoed` is called with its mark, if it comes back. False when there is no
   * connection.
   */
  echo(mark: number): boolean;
  /**
   * Delivers from the session's own queue until it is closed or the turn ends. `sessionPrefetch` of its
   * frames are unacknowledged at once.
   */
  openQueue(session: string): void;
  /** Stops delivering from it. Frames under way may still come. */
  closeQueue(session: string): void;
  /** Gives up the turn. Unacknowledged frames go to the next party, and this one joins the queue again. */
  abandon(): void;
  /** Leaves the queue for good, when all that it sent and acknowledged has reached the broker. */
  close(): Promise<void>;
}

/** A store's own queue, and its way to the holders. */
export interface StoreLink extends FrameLimit {
  /**
   * Sends a frame to a holder's queue. If that is gone, `unreachable` is called. False when there is no
   * connection.
   */
  send(queue: string, bytes: Uint8Array): boolean;
  /**
   * Sends an echo for a partition through the store's own queue. `echoed` is called with its marks, if it
   * comes back. False when there is no connection.
   */
  echo(partition: number, mark: number): boolean;
  /** Closes the queue, when all that was sent has reached the broker. */
  close(): Promise<void>;
}

/** The calls to a holder. They come one at a time, and must not throw. */
export interface HolderClient {
  /** A connection stands. Frames reach this holder at `queue`, whose name is never the same twice. */
  connected(queue: string): void;
  /** The connection is gone, and with it `queue` and the frames under way. */
  disconnected(reason: string): void;
  received(bytes: Uint8Array): void;
  /** A frame to the store with this key came back. Its queue is gone. */
  returned(key: string): void;
}

/**
 * What became of a frame for a session's own queue. It waits there, or the queue was full, or the connection
 * was lost.
 */
export type Enqueued = 'queued' | 'full' | 'lost';

export interface EnqueueOptions {
  /** Most frames that may wait before this one. Those that came just now may not be counted yet. */
  readonly maxWaiting: number;
  /** The longest that it waits, in milliseconds. */
  readonly ttlMs: number;
}

/**
 * How many frames of one session's queue are delivered at once. The second one shows that more than one
 * waits.
 */
export const sessionPrefetch = 2;

export interface HolderLink extends FrameLimit {
  /** Sends a frame to the party that serves `partition`. False when there is no connection. */
  send(partition: number, bytes: Uint8Array): boolean;
  /**
   * Sends a frame to the own queue of the store with this key. If that is gone, `returned` may be called.
   * False when there is no connection.
   */
  sendToStore(key: string, bytes: Uint8Array): boolean;
  /**
   * Puts a frame into the session's own queue, and makes the queue when it is missing. Later frames may
   * overtake it.
   */
  enqueue(session: string, bytes: Uint8Array, options: EnqueueOptions): Promise<Enqueued>;
  close(): Promise<void>;
}
