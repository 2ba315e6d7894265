/**
 * Rule 10: what holders had answered in time when the store revoked a lock: renewals and releases. They count
 * from when they reached the partition's queue, whether or not the store had read them.
 */
import type { HolderPart, Revoked, Token } from '#protocol';
import { grantName } from './context.js';

/** Renewals of a holder in a partition that are remembered. */
const remembered = 50;

export class Answers {
  private releases = new Map<string, number>();
  private renewals = new Map<string, number[]>();

  /** A part arrives in a queue to the store. */
  queued({ holder, partition, messages }: HolderPart, time: number): void {
    for (const message of messages) {
      if (message.kind === 'renew') {
        const times = this.renewals.get(`${holder} ${partition}`) ?? [];
        this.renewals.set(`${holder} ${partition}`, [...times, time].slice(-remembered));
      }
      if (message.kind !== 'release' && message.kind !== 'destroy') continue;
      const name = grantName(holder, message.session, message.token);
      if (!this.releases.has(name)) this.releases.set(name, time);
    }
  }

  /** The store has read the release, and the grant continues, because a change before it is missing. */
  refused(holder: string, session: string, token: Token): void {
    this.releases.delete(grantName(holder, session, token));
  }

  /** The frames in the queues are lost, or their effect is. */
  forget(): void {
    this.releases = new Map();
    this.renewals = new Map();
  }

  /** Whether the holder had answered since `from` and before `deadline`. */
  isThere(
    holder: string,
    partition: number,
    { session, token, why }: Revoked,
    from: number,
    deadline: number,
  ): boolean {
    const isInTime = (time: number | undefined) => time !== undefined && from < time && time < deadline;
    if (why === 'recall-timeout') return isInTime(this.releases.get(grantName(holder, session, token)));
    return (this.renewals.get(`${holder} ${partition}`) ?? []).some(isInTime);
  }
}
