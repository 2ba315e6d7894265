/** For specs: the holder's machine alone. A test speaks as the store, and as what runs in the process. */
import type { HolderRules } from './holder-desk.js';
import { HolderMachine } from './holder-machine.js';
import type { HeldGrant, HolderEvent } from './holder-outputs.js';
import type { Grant, Refused, StoreMessage } from './messages.js';
import type { Token, Version } from './order.js';
import { testRules } from './pair.harness.js';
import { changes, shown } from './words.harness.js';

export class AppServer {
  readonly machine: HolderMachine;
  time = 0;
  /** Of the last call of `hear`. */
  events: readonly HolderEvent[] = [];
  private epoch = 1;

  /** The store answers every renewal at once, so that the lease runs on. */
  leased = true;

  constructor(rules: Partial<HolderRules> = {}) {
    this.machine = new HolderMachine({ ...testRules, ...rules });
  }

  get now() {
    return { mono: this.time, wall: 0 };
  }

  /** What is sent since the last call, without renewals. */
  get says(): string[] {
    return this.messages.map(shown).filter((line) => !line.startsWith('renew'));
  }

  get messages() {
    const messages = [...this.machine.takeMessages().values()].flat();
    if (!this.leased) return messages;
    for (const message of messages) {
      if (message.kind !== 'renew') continue;
      const answer = { ...renewed(), n: message.n, valid: message.reclaim };
      this.machine.receive({ version: 1, partition: 0, epoch: this.epoch, messages: [answer] }, this.now);
    }
    return messages;
  }

  want(waitMs = 10_000, id = 's'): string[] {
    this.machine.want(id, this.time + waitMs, changes().set, this.now);
    return this.says;
  }

  /** A frame of an epoch: what happens, as text. */
  hearOf(epoch: number, ...messages: StoreMessage[]): string[] {
    this.epoch = Math.max(this.epoch, epoch);
    this.machine.receive({ version: 1, partition: 0, epoch, messages }, this.now);
    this.events = this.machine.takeEvents();
    return this.events.map(told);
  }

  hear(...messages: StoreMessage[]): string[] {
    return this.hearOf(1, ...messages);
  }

  /** Asks for the lock and is granted it. */
  hold(grant: Partial<Grant> = {}): HeldGrant {
    this.want();
    this.hear({ ...granted(1, [1, 1]), ...grant });
    const [event] = this.events;
    if (event?.kind !== 'granted') throw new Error('not granted');
    return event.grant;
  }

  commit(grant: HeldGrant, set: Record<string, string>, ...removed: string[]): string[] {
    this.machine.commit(grant, changes(set, removed), this.now);
    return this.says;
  }

  release(grant: HeldGrant, set: Record<string, string> = {}): string[] {
    this.machine.release(grant, changes(set), this.now);
    return this.says;
  }

  wait(ms: number): string[] {
    this.time += ms;
    this.machine.tick(this.now);
    return this.says;
  }
}

export function told(event: HolderEvent): string {
  if (event.kind === 'partitions') return `${event.partitions} partitions`;
  if (event.kind === 'refused') return `refused ${event.session} ${event.why}`;
  const { session, token, acknowledged } = event.grant;
  const line = `${event.kind} ${session} ${token.join('.')}`;
  if (event.kind === 'granted') return event.contended ? `${line} contended` : line;
  if (event.kind === 'acknowledged') return `${line} through ${acknowledged}`;
  return event.kind === 'lost' ? `${line} ${event.why}` : line;
}

// Messages about the session `s`. -------------------------------------------------------------------------------------

export const granted = (
  request: number,
  token: Token,
  set: Record<string, string> = {},
  keep: string[] = [],
): Grant => {
  const version: Version = [...token, 0];
  const more = { mode: 'exclusive', version, seq: 0, keep, contended: false } as const;
  return { kind: 'grant', session: 's', request, token, set: changes(set).set, ...more };
};
export const recall = (token: Token) => ({ kind: 'recall', session: 's', token }) as const;
export const committed = (token: Token, seq: number) =>
  ({ kind: 'committed', session: 's', token, seq }) as const;
export const released = (token: Token) => ({ kind: 'released', session: 's', token }) as const;
export const refusedChange = (
  why: Refused['why'],
  token: Token,
  seq: number,
  appliedThrough?: number,
): Refused => ({
  kind: 'refused',
  session: 's',
  why,
  token,
  seq,
  appliedThrough,
});
export const renewed = (...recalled: [string, Token][]) =>
  ({
    kind: 'renewed',
    n: 1,
    leaseMs: 5_000,
    ttlMs: 3_600_000,
    partitions: testRules.partitions,
    recalled,
    revoked: [],
  }) as const;
