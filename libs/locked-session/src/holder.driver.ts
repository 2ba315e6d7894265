/**
 * Drives the holder's state machine: hands it what arrives, sends what it says at the end of each turn of the event loop, and repeats and
 * renews by a timer that runs only while there is something to repeat or renew.
 */
import type { Broker, Clock, HolderClient, HolderLink, Log } from '#broker';
import {
  decodeStoreFrame,
  encodeHolderFrame,
  HolderMachine,
  intoFrames,
  type Acquire,
  type Changes,
  type HeldGrant,
  type HolderEvent,
  type HolderMessage,
  type HolderRules,
  type StoreFrame,
} from '#protocol';
import { QueueBudget, type QueueBudgetSettings } from './queue-budget.js';

export interface HolderSettings extends HolderRules, QueueBudgetSettings {
  /** Most processes that may wait in a session's own queue (rule 21). */
  readonly waitersPerSession: number;
}

export interface HolderPorts {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly log: Log;
}

export class HolderDriver {
  readonly counters = {
    framesSent: 0,
    framesReceived: 0,
    badFrames: 0,
    messagesSent: 0,
    messagesReceived: 0,
  };

  private readonly budget = new QueueBudget(this.settings);
  private link: HolderLink | undefined;
  private queue: string | undefined;
  private flushing = false;
  private ticking = false;
  private closed = false;
  /** Since when the store owes an answer, and whether that was said. */
  private askedAt: number | undefined;
  private silenceLogged = false;
  private onQuiet: (() => void) | undefined;

  /** `holder` is this incarnation of the process: never used before, never again. */
  constructor(
    private readonly holder: string,
    private readonly ports: HolderPorts,
    private readonly settings: HolderSettings,
    private readonly onEvent: (event: HolderEvent) => void,
    readonly machine = new HolderMachine(settings),
  ) {}

  /** Resolves when the broker is there for the first time; what was asked before is sent then. */
  async start(): Promise<void> {
    const client: HolderClient = {
      connected: (queue) => {
        this.queue = queue;
        this.askedAt = undefined;
        this.machine.connected(this.ports.clock.now());
        this.flushSoon();
      },
      disconnected: () => (this.queue = undefined),
      received: (bytes) => this.received(bytes),
    };
    const link = await this.ports.broker.join(this.holder, client);
    this.link = link;
    if (this.closed) return link.close();
    this.flushSoon();
  }

  /** See `HolderMachine.want`. */
  want(session: string, deadline: number, create: ReadonlyMap<string, Uint8Array> | undefined): void {
    this.machine.want(session, deadline, create, this.ports.clock.now());
    this.flushSoon();
  }

  giveUp(session: string): void {
    this.machine.giveUp(session, this.ports.clock.now());
    this.flushSoon();
  }

  commit(grant: HeldGrant, changes: Changes): number {
    const seq = this.machine.commit(grant, changes, this.ports.clock.now());
    this.flushSoon();
    return seq;
  }

  flush(grant: HeldGrant): void {
    this.machine.flush(grant, this.ports.clock.now());
    this.flushSoon();
  }

  prove(grant: HeldGrant): number {
    const seq = this.machine.prove(grant, this.ports.clock.now());
    this.flushSoon();
    return seq;
  }

  trusts(grant: HeldGrant): boolean {
    if (this.machine.trusts(grant, this.ports.clock.now())) return true;
    this.flushSoon();
    return false;
  }

  release(grant: HeldGrant, changes: Changes): void {
    this.machine.release(grant, changes, this.ports.clock.now());
    this.flushSoon();
  }

  destroy(grant: HeldGrant): void {
    this.machine.destroy(grant, this.ports.clock.now());
    this.flushSoon();
  }

  /** Resolves when every release is answered, or after `limitMs`; then the stores are told that this holder has gone, and the link is closed. */
  async close(limitMs: number): Promise<void> {
    if (this.queue !== undefined && this.machine.busy) {
      await new Promise<void>((resolve) => {
        const cancel = this.ports.clock.after(limitMs, resolve);
        this.onQuiet = () => {
          cancel();
          resolve();
        };
      });
    }
    this.closed = true;
    this.machine.leave();
    this.sendAll();
    await this.link?.close();
  }

  private received(bytes: Uint8Array): void {
    this.counters.framesReceived++;
    this.heard();
    let frame: StoreFrame;
    try {
      frame = decodeStoreFrame(bytes);
    } catch (error) {
      this.counters.badFrames++;
      this.ports.log.warn(
        `dropped a frame of ${bytes.length} bytes on ${this.queue}: ${(error as Error).message}`,
      );
      return;
    }
    this.counters.messagesReceived += frame.messages.length;
    this.machine.receive(frame, this.ports.clock.now(), () => {
      for (const event of this.machine.takeEvents()) this.onEvent(event);
    });
    this.flushSoon();
  }

  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    this.ports.clock.soon(() => {
      this.flushing = false;
      this.sendAll();
    });
  }

  private sendAll(): void {
    const outbox = this.machine.takeMessages();
    // Without a connection nothing is kept here: `connected` says everything again.
    if (this.link && this.queue !== undefined) {
      for (const [partition, messages] of outbox) {
        for (const frame of intoFrames(messages)) {
          if (this.settings.queues === 'per-session' && isAcquires(frame))
            for (const acquire of frame) void this.ask(partition, acquire);
          else this.link.send(partition, this.encoded(partition, frame));
        }
      }
    }
    if (!this.machine.busy) this.onQuiet?.();
    else if (this.queue !== undefined) this.askedAt ??= this.ports.clock.now().mono;
    this.tickLater();
  }

  /** Puts an acquire into its session's own queue, and tells the machine what has come of it (rule 21). */
  private async ask(partition: number, acquire: Acquire): Promise<void> {
    const { session } = acquire;
    const { waitersPerSession: most } = this.settings;
    const { clock } = this.ports;
    const limit = this.budget.refuses(session, clock.now().mono);
    if (limit !== undefined) {
      this.machine.turnedAway(acquire, 'too-many-queues', limit, clock.now());
    } else {
      const asked = await this.link!.ask(session, this.encoded(partition, [acquire]), {
        most,
        ttlMs: acquire.waitMs,
      });
      const detail = `at most ${most} app servers for a session (waitersPerSession)`;
      if (asked === 'full') this.machine.turnedAway(acquire, 'too-many-waiters', detail, clock.now());
      else this.machine.asked(acquire, asked === 'queued', clock.now());
    }
    for (const event of this.machine.takeEvents()) this.onEvent(event);
    this.flushSoon();
  }

  private encoded(partition: number, messages: readonly HolderMessage[]): Uint8Array {
    this.counters.framesSent++;
    this.counters.messagesSent += messages.length;
    return encodeHolderFrame({ partition, holder: this.holder, queue: this.queue!, messages });
  }

  private tickLater(): void {
    if (this.ticking || this.closed || !this.machine.busy) return;
    this.ticking = true;
    this.ports.clock.after(this.machine.tickMs, () => {
      this.ticking = false;
      if (this.closed) return;
      const now = this.ports.clock.now();
      this.machine.tick(now);
      this.noteSilence(now.mono);
      this.flushSoon();
    });
  }

  private noteSilence(now: number): void {
    const silentMs = now - (this.askedAt ?? now);
    if (this.silenceLogged || this.queue === undefined) return;
    if (silentMs < 2 * Math.max(this.settings.renewMs, this.settings.repeatMs)) return;
    this.silenceLogged = true;
    this.ports.log.warn(
      `no answer from the store for ${Math.round(silentMs / 1_000)} s; scopes wait for it. Is one running, on the same ` +
        `broker, with the same prefix and ${this.settings.partitions} partitions?`,
    );
  }

  private heard(): void {
    this.askedAt = undefined;
    if (!this.silenceLogged) return;
    this.silenceLogged = false;
    this.ports.log.log('the store answers');
  }
}

/** Acquires travel in frames of their own. */
function isAcquires(frame: readonly HolderMessage[]): frame is readonly Acquire[] {
  return frame[0]?.kind === 'acquire';
}
