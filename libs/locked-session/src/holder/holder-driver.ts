/**
 * Drives the holder's state machine. Hands it the frames that arrive, and sends its messages at the end of
 * each turn of the event loop. A timer for repeats and renewals runs only while there is something to repeat
 * or renew.
 */
import type { HolderClient, HolderLink } from '#broker';
import {
  decodeStoreFrame,
  encodeFrames,
  encodeHolderFrame,
  FrameTooLargeError,
  HolderMachine,
  intoFrames,
  noChanges,
  OtherVersionError,
  protocolVersion,
  type Acquire,
  type ChangeSet,
  type HeldGrant,
  type HolderEvent,
  type HolderMessage,
  type HolderParameters,
  type HolderRules,
  type OtherVersion,
  type Part,
  type StoreFrame,
} from '#protocol';
import { otherVersion } from '../gate/gate-errors.js';
import type { Holder } from '../gate/holder.js';
import { attempt, logError } from './guarded.js';
import type { HolderPorts } from './holder-ports.js';
import { HolderTrace } from './holder-trace.js';
import { SilenceLog } from './silence-log.js';
import { QueueBudget, type QueueBudgetSettings } from './queue-budget.js';

export interface HolderSettings extends HolderParameters, QueueBudgetSettings {
  /** Most processes that may wait in a session's own queue (rule 21). */
  readonly waitersPerSession: number;
}

export type DriverEvent =
  | HolderEvent
  /** The store of this partition speaks another version of the protocol. */
  | { readonly kind: 'version'; readonly version: number; readonly partition: number };

/**
 * The log names a store's other protocol version once in this time, in milliseconds, since all its partitions
 * tell it.
 */
const tellVersionEveryMs = 600_000;

export class HolderDriver implements Holder {
  readonly counters = {
    framesSent: 0,
    framesReceived: 0,
    badFrames: 0,
    messagesSent: 0,
    messagesReceived: 0,
  };

  readonly machine: HolderMachine;
  private readonly trace: HolderTrace | undefined;
  private readonly budget = new QueueBudget(this.settings);
  private readonly silence = new SilenceLog(this.ports.log, this.settings);
  private link: HolderLink | undefined;
  private queue: string | undefined;
  private flushing = false;
  /** Frames have left since the last one came. */
  private awaits = false;
  private ticking = false;
  private closed = false;
  private onAnswered: (() => void) | undefined;
  /** The protocol version that the log has named last, and when, by the monotonic clock. */
  private toldVersion = { version: protocolVersion as number, at: -Infinity };

  /** `holder` names this incarnation of the process. It was never used before, and is never used again. */
  constructor(
    private readonly holder: string,
    private readonly ports: HolderPorts,
    private readonly settings: HolderSettings,
    private readonly onEvent: (event: DriverEvent) => void,
    rules: Partial<HolderRules> = {},
  ) {
    this.machine = new HolderMachine(settings, rules);
    this.trace = ports.trace && new HolderTrace(ports.trace);
  }

  /** Resolves when the broker is there for the first time. Earlier requests are sent then. */
  async start(): Promise<void> {
    const client: HolderClient = {
      connected: (queue) => {
        this.queue = queue;
        this.silence.connected();
        this.machine.connected(this.ports.clock.now());
        this.flushSoon();
      },
      disconnected: () => (this.queue = undefined),
      received: (bytes) => this.received(bytes),
      returned: (key) => {
        this.machine.returned(key, this.ports.clock.now());
        this.flushSoon();
      },
    };
    const link = await this.ports.broker.join(this.holder, client).catch((error: unknown) => {
      if (this.closed) return undefined; // the broker was never there
      throw error;
    });
    if (!link) return;
    this.link = link;
    if (this.closed) return link.close();
    this.flushSoon();
  }

  /** See `HolderMachine.want`. */
  want(session: string, deadline: number, create: ReadonlyMap<string, Uint8Array> | undefined): void {
    this.trace?.asks(session);
    this.machine.want(session, deadline, create, this.ports.clock.now());
    this.flushSoon();
  }

  giveUp(session: string): void {
    this.machine.giveUp(session);
    this.trace?.givesUp(session);
    this.flushSoon();
  }

  commit(grant: HeldGrant, changes: ChangeSet): number {
    const seq = this.machine.commit(grant, changes, this.ports.clock.now());
    this.flushSoon();
    return seq;
  }

  flush(grant: HeldGrant): void {
    this.machine.flush(grant, this.ports.clock.now());
    this.flushSoon();
  }

  confirmHeld(grant: HeldGrant): number {
    const seq = this.machine.confirmHeld(grant, this.ports.clock.now());
    this.flushSoon();
    return seq;
  }

  trusts(grant: HeldGrant): boolean {
    if (this.machine.trusts(grant, this.ports.clock.now())) return true;
    this.trace?.doubts(grant);
    this.flushSoon();
    return false;
  }

  isTurnOver(grant: HeldGrant, resultsThatWait: number): boolean {
    return this.machine.isTurnOver(grant, resultsThatWait);
  }

  release(grant: HeldGrant): void {
    this.machine.release(grant, noChanges, this.ports.clock.now());
    this.trace?.releases(grant);
    this.flushSoon();
  }

  destroy(grant: HeldGrant): void {
    this.machine.destroy(grant, this.ports.clock.now());
    this.trace?.destroys(grant);
    this.flushSoon();
  }

  /** The sessions with changes that are made and not sent yet (write-back). */
  unsentSessions(): ReadonlySet<string> {
    return this.machine.unsentSessions();
  }

  get isConnected(): boolean {
    return this.queue !== undefined;
  }

  /** Resolves with true when everything is answered, and with false after `limitMs`. */
  answered(limitMs: number): Promise<boolean> {
    if (!this.machine.awaitsAnswer) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (isAnswered: boolean) => {
        this.onAnswered = undefined;
        cancel();
        resolve(isAnswered);
      };
      const cancel = this.ports.clock.after(limitMs, () => settle(false));
      this.onAnswered = () => settle(true);
    });
  }

  /**
   * Waits for answers for at most `limitMs`. Without a connection it waits only for answers to changes. Then
   * it tells the stores that this holder has gone and holds nothing (rule 3), and closes the link.
   */
  async close(limitMs: number): Promise<void> {
    if (this.isConnected || this.machine.unacknowledged > 0) await this.answered(limitMs);
    const { unacknowledged } = this.machine;
    if (unacknowledged > 0) {
      this.ports.log.warn(
        `this process ends before the store has acknowledged its changes to ${unacknowledged} sessions. ` +
          'They may be applied or not',
      );
    }
    this.closed = true;
    this.machine.leave(this.ports.clock.now());
    this.sendAll();
    await this.link?.close();
    this.trace?.close();
  }

  private received(bytes: Uint8Array): void {
    this.counters.framesReceived++;
    this.awaits = false;
    this.silence.heard();
    let frame: StoreFrame;
    try {
      frame = decodeStoreFrame(bytes);
    } catch (error) {
      this.counters.badFrames++;
      if (error instanceof OtherVersionError) return this.otherVersion(error.frame);
      this.ports.log.warn(
        `dropped a frame of ${bytes.length} bytes on ${this.queue}: ${(error as Error).message}`,
      );
      return;
    }
    try {
      for (const part of frame.parts) {
        this.counters.messagesReceived += part.messages.length;
        this.trace?.received(part);
        this.machine.receive(part, this.ports.clock.now(), () => this.tell(), frame.key);
      }
    } finally {
      this.flushSoon();
    }
  }

  /**
   * The partition's store is of another release. The scopes that wait for it fail, and now and then the log
   * says so.
   */
  private otherVersion({ version, partition }: OtherVersion): void {
    const { mono } = this.ports.clock.now();
    if (this.toldVersion.version !== version || mono - this.toldVersion.at >= tellVersionEveryMs) {
      this.toldVersion = { version, at: mono };
      this.ports.log.error(otherVersion(version).message);
    }
    this.onEvent({ kind: 'version', version, partition });
  }

  /**
   * A message leaves at once while no answer is awaited. Otherwise all that a turn of the event loop has to
   * send shares its frames. Nagle's algorithm (RFC 896) decides so, too.
   */
  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    const { clock } = this.ports;
    clock[this.awaits ? 'soon' : 'afterPromises'](() => {
      this.flushing = false;
      try {
        this.sendAll();
      } finally {
        this.tickLater(); // unsent messages are repeated
      }
    });
  }

  private sendAll(): void {
    const { toStores, toPartitions } = this.machine.takeTurn(this.ports.clock.now());
    if (toStores.size + toPartitions.length > 0) this.trace?.flush();
    if (!this.machine.awaitsAnswer) this.onAnswered?.();
    // Without a connection the messages are dropped. `connected` has the machine repeat them.
    const { link } = this;
    if (!link || this.queue === undefined) return;
    for (const [key, parts] of toStores) this.sendToStore(link, key, parts);
    for (const part of toPartitions) this.sendToPartition(link, part);
    if (this.machine.busy) this.silence.asked(this.ports.clock.now().mono);
  }

  private sendToStore(link: HolderLink, key: string, all: readonly Part<HolderMessage>[]): void {
    for (const parts of intoFrames(all, link.maxFrameBytes))
      for (const bytes of this.encoded(parts)) link.sendToStore(key, bytes);
  }

  private sendToPartition(link: HolderLink, part: Part<HolderMessage>): void {
    const { partition } = part;
    for (const parts of intoFrames([part], link.maxFrameBytes)) {
      const frame = parts.flatMap(({ messages }) => messages);
      if (this.settings.queues === 'per-session' && isAcquires(frame)) {
        for (const acquire of frame)
          this.ask(partition, acquire).catch((error) => this.notAsked(acquire, error));
      } else {
        for (const bytes of this.encoded(parts)) link.send(partition, bytes);
      }
    }
  }

  /** Puts an acquire into its session's own queue, and tells the machine the outcome (rule 21). */
  private async ask(partition: number, acquire: Acquire): Promise<void> {
    const { session } = acquire;
    const { waitersPerSession: maxWaiting } = this.settings;
    const { clock } = this.ports;
    const limit = this.budget.refuses(session, clock.now().mono);
    if (limit !== undefined) {
      this.machine.turnedAway(acquire, 'too-many-queues', limit, clock.now());
    } else {
      const [bytes] = this.encoded([this.part(partition, acquire)]);
      if (!bytes) return;
      const asked = await this.link!.enqueue(session, bytes, { maxWaiting, ttlMs: acquire.waitMs });
      const detail = `at most ${maxWaiting} app servers for a session (waitersPerSession)`;
      if (asked === 'full') this.machine.turnedAway(acquire, 'too-many-waiters', detail, clock.now());
      else this.machine.enqueued(acquire, asked === 'queued', clock.now());
    }
    this.tell();
  }

  /**
   * The messages as frames. A message that cannot be encoded fails its scopes, in a turn of its own. The
   * process goes on.
   */
  private encoded(parts: readonly Part<HolderMessage>[]): readonly Uint8Array[] {
    const { clock, log } = this.ports;
    const encode = (some: readonly Part<HolderMessage>[]) =>
      encodeHolderFrame({ holder: this.holder, queue: this.queue!, parts: some });
    const failed = (message: HolderMessage, error: Error, { partition }: Part<HolderMessage>) =>
      clock.soon(() => {
        if (error instanceof FrameTooLargeError) this.tooLarge(message, partition, error.message);
        else {
          log.error(`${error.message}. It is not sent, and the scopes that wait for it fail`);
          this.machine.unsendable(message, partition, error.message, clock.now());
        }
        this.tell();
      });
    const frames = encodeFrames(parts, encode, failed, this.link?.maxFrameBytes);
    this.counters.framesSent += frames.length;
    this.awaits = true;
    for (const { messages } of parts) this.counters.messagesSent += messages.length;
    return frames;
  }

  private part(partition: number, message: HolderMessage): Part<HolderMessage> {
    return { partition, epoch: this.machine.epochOf(partition), messages: [message] };
  }

  /** The message is larger than the broker takes. Its scopes fail, and no others. */
  private tooLarge(message: HolderMessage, partition: number, detail: string): void {
    const { log, clock } = this.ports;
    const isChange = 'set' in message && message.set.size + message.removed.length > 0;
    if (message.kind === 'acquire') {
      this.machine.turnedAway(message, 'too-large', detail, clock.now());
    } else if (isChange) {
      if (this.queue === undefined) return; // the next connection repeats it
      this.machine.sendInstead(partition, this.machine.tooLarge(message));
    } else {
      return log.error(`'${message.kind}' to partition ${partition} is not sent: ${detail}`);
    }
    log.error(
      `session ${message.session}: a change is refused: ${detail}. Raise that limit, or lower sessionBytes`,
    );
  }

  /** Hands on the machine's events, and sends the messages that follow from them. */
  private tell(): void {
    // Each event has a guard of its own, so that an error in one session keeps no event from the others.
    for (const event of this.machine.takeEvents()) {
      this.trace?.happened(event);
      attempt(this.ports.log, `an event from the store (${event.kind})`, () => this.onEvent(event));
    }
    this.flushSoon();
  }

  /** The acquire is not in its session's queue. The next repeat puts it there. */
  private notAsked(acquire: Acquire, error: unknown): void {
    logError(this.ports.log, `the queue of session ${acquire.session}`, error);
    this.machine.enqueued(acquire, false, this.ports.clock.now());
  }

  private tickLater(): void {
    if (this.ticking || this.closed || !this.machine.busy) return;
    this.ticking = true;
    this.ports.clock.after(this.machine.tickMs, () => {
      this.ticking = false;
      if (this.closed) return;
      const now = this.ports.clock.now();
      try {
        this.machine.tick(now);
        if (this.queue !== undefined) this.silence.note(now.mono);
      } finally {
        this.flushSoon(); // and with it the next tick
      }
    });
  }
}

/** Whether the frame has acquires. They travel in frames of their own. */
function isAcquires(frame: readonly HolderMessage[]): frame is readonly Acquire[] {
  return frame[0]?.kind === 'acquire';
}
