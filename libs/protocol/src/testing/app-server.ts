/** For specs: the holder's machine alone. A test plays the store and the application. */
import type { HolderParameters } from '../holder/parameters.js';
import { HolderMachine } from '../holder/holder-machine.js';
import type { HeldGrant, HolderEvent } from '../holder/outputs.js';
import type { Grant, Refused, Renew, SessionToken, StoreMessage } from '../wire/messages.js';
import type { Token, Version } from '../wire/order.js';
import { testParameters } from './pair.js';
import { changes, asText } from './message-text.js';

export class AppServer {
  readonly machine: HolderMachine;
  time = 0;
  /** Of the last call of `hear`. */
  events: readonly HolderEvent[] = [];
  private epoch = 1;

  /** The store answers each renewal at once. So the lease runs on. */
  leased = true;

  constructor(parameters: Partial<HolderParameters> = {}) {
    this.machine = new HolderMachine({ ...testParameters, ...parameters });
  }

  get now() {
    return { mono: this.time, wall: 0 };
  }

  /** The messages since the last call, without renewals. */
  get says(): string[] {
    return this.messages.map(asText).filter((line) => !line.startsWith('renew'));
  }

  get messages() {
    const messages = [...this.machine.takeMessages().values()].flat();
    if (!this.leased) return messages;
    for (const message of messages) {
      if (message.kind !== 'renew') continue;
      const answer = { ...renewed(), n: message.n, valid: confirmed(message) };
      this.machine.receive({ partition: 0, epoch: this.epoch, messages: [answer] }, this.now);
    }
    return messages;
  }

  want(waitMs = 10_000, id = 's'): string[] {
    this.machine.want(id, this.time + waitMs, changes().set, this.now);
    return this.says;
  }

  /** Receives a frame of an epoch. Returns the events as text. */
  hearOf(epoch: number, ...messages: StoreMessage[]): string[] {
    this.epoch = Math.max(this.epoch, epoch);
    this.machine.receive({ partition: 0, epoch, messages }, this.now);
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

// Messages about the session `s`. ---------------------------------------------------------------------------

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
    partitions: testParameters.partitions,
    recalled,
    revoked: [],
  }) as const;

/** All locks that the renewal reclaims, as the store names them. */
export const confirmed = ({ reclaim }: Renew) =>
  reclaim?.map(([session, token]): SessionToken => [session, token]);
