/**
 * For specs: a process with a holder's machine, on the wire and the virtual time of testing/pair.ts. The test
 * decides how it uses a lock.
 */
import { decodeStoreFrame } from '../wire/codec.js';
import type { HolderMachine } from '../holder/holder-machine.js';
import type { HeldGrant, HolderEvent } from '../holder/outputs.js';
import type { HolderMessage } from '../wire/messages.js';
import type { Now } from '../wire/order.js';
import { asTexts, changes } from './message-text.js';

/** The virtual time, and the way to the store. */
interface Wire {
  readonly time: number;
  readonly now: Now;
  fromHolder(holder: TestHolder, partition: number, messages: readonly HolderMessage[]): void;
}

/** A process that uses its locks as the test decides. */
export class TestHolder {
  /** The events since the last `happened`. */
  private readonly events: string[] = [];
  private readonly grants = new Map<string, HeldGrant>();
  private connections = 1;
  /** Gives a recalled lock back at once. */
  polite = false;
  /** No frame of this holder arrives, and no frame to it does. */
  cutOff = false;
  /** The frames that wait while this process stands still. */
  private waiting: Uint8Array[] | undefined;

  constructor(
    readonly name: string,
    private readonly pair: Wire,
    readonly machine: HolderMachine,
  ) {}

  get queue(): string {
    return `${this.name}.${this.connections}`;
  }

  /** Asks for the lock of a session that the store may make, for `waitMs` or until `giveUp`. */
  want(session: string, waitMs = 10_000, create: Record<string, string> = {}): this {
    const { time, now } = this.pair;
    this.machine.want(session, time + waitMs, changes(create).set, now);
    return this.flush();
  }

  /** Asks for the lock of a session that the store must know. */
  wantKnown(session: string, waitMs = 10_000): this {
    this.machine.want(session, this.pair.time + waitMs, undefined, this.pair.now);
    return this.flush();
  }

  /** This process stands still. Frames to it wait. */
  pause(): void {
    this.waiting = [];
  }

  /** The process goes on. It first reads the frames that waited. */
  resume(): void {
    const waiting = this.waiting ?? [];
    this.waiting = undefined;
    for (const bytes of waiting) this.receive(bytes);
    this.tick();
  }

  giveUp(session: string): this {
    this.machine.giveUp(session);
    return this.flush();
  }

  /** The grant that this holder has. Throws when it has none. */
  held(session: string): HeldGrant {
    const grant = this.grants.get(session);
    if (!grant) throw new Error(`${this.name} does not hold ${session}`);
    return grant;
  }

  holds(session: string): boolean {
    return this.grants.has(session);
  }

  /**
   * A request comes that uses the held session. Returns whether it may do so without a question to the store.
   */
  uses(session: string): boolean {
    const grant = this.grants.get(session);
    if (!grant || this.waiting || !this.machine.trusts(grant, this.pair.now)) {
      this.flush();
      return false;
    }
    grant.used = true;
    return true;
  }

  /** The attributes that this holder sees of a session that it holds. */
  sees(session: string): Record<string, string> {
    return asTexts([...this.held(session).attributes].map(([name, { bytes }]) => [name, bytes]));
  }

  commit(session: string, set: Record<string, string>, ...removed: string[]): this {
    this.machine.commit(this.held(session), changes(set, removed), this.pair.now);
    return this.flush();
  }

  release(session: string, set: Record<string, string> = {}): this {
    const grant = this.held(session);
    this.grants.delete(session);
    this.machine.release(grant, changes(set), this.pair.now);
    return this.flush();
  }

  destroy(session: string): this {
    const grant = this.held(session);
    this.grants.delete(session);
    this.machine.destroy(grant, this.pair.now);
    return this.flush();
  }

  /** Leaves, with all that it holds. */
  leave(): void {
    this.machine.leave(this.pair.now);
    this.flush();
    this.cutOff = true;
  }

  /** The connection is lost, with the frames on their way. There is another one at once. */
  reconnect(): this {
    this.connections++;
    this.machine.takeMessages();
    this.machine.connected(this.pair.now);
    return this.flush();
  }

  /** Events since the last call, as text. */
  happened(): string[] {
    return this.events.splice(0);
  }

  receive(bytes: Uint8Array): void {
    if (this.cutOff) return;
    if (this.waiting) return void this.waiting.push(bytes);
    for (const part of decodeStoreFrame(bytes).parts) this.machine.receive(part, this.pair.now);
    for (const event of this.machine.takeEvents()) this.note(event);
    this.flush();
  }

  tick(): void {
    if (this.waiting) return;
    this.machine.tick(this.pair.now);
    this.flush();
  }

  private note(event: HolderEvent): void {
    if (event.kind === 'partitions') return;
    if (event.kind === 'refused') {
      this.events.push(`refused ${event.session} ${event.why}`);
      return;
    }
    const { grant } = event;
    const { session, token, acknowledged } = grant;
    const words: unknown[] = [event.kind, session, token.join('.')];
    if (event.kind === 'acknowledged') words.push(acknowledged);
    if (event.kind === 'lost') words.push(event.why);
    this.events.push(words.join(' '));
    if (event.kind === 'granted') this.grants.set(session, grant);
    if (event.kind === 'lost' && this.grants.get(session) === grant) this.grants.delete(session);
    const recalled = event.kind === 'recalled' || (event.kind === 'granted' && event.contended);
    if (recalled && this.polite) this.release(session);
  }

  private flush(): this {
    for (const [partition, messages] of this.machine.takeMessages())
      this.pair.fromHolder(this, partition, messages);
    return this;
  }
}
