/**
 * Rule 10: what holders had answered in time when the store revoked a lock: renewals and releases. They count
 * from when they reached the partition's queue, whether or not the store had read them.
 */
import type { HolderPart, Revoked, Token } from '#protocol';
import { grantName } from './context.js';

/** Renewals of a holder in a partition that are remembered. */
const remembered = 50;

export class Answers {
  private readonly releases = new Map<string, { readonly lease: string; readonly at: number }>();
  private readonly renewals = new Map<string, number[]>();

  /** A part arrives in a queue to the store. */
  queued({ holder, partition, messages }: HolderPart, time: number): void {
    const lease = `${holder} ${partition}`;
    for (const message of messages) {
      if (message.kind === 'renew')
        this.renewals.set(lease, [...(this.renewals.get(lease) ?? []), time].slice(-remembered));
      if (message.kind !== 'release' && message.kind !== 'destroy') continue;
      const name = grantName(holder, message.session, message.token);
      if (!this.releases.has(name)) this.releases.set(name, { lease, at: time });
    }
  }

  /** The store has read the release, and the grant continues, because a change before it is missing. */
  refused(holder: string, session: string, token: Token): void {
    this.releases.delete(grantName(holder, session, token));
  }

  /** What the holder has said was read by a store that does not own the partition (rule 22). */
  disowned(holder: string, partition: number): void {
    const unread = `${holder} ${partition}`;
    this.renewals.delete(unread);
    for (const [name, { lease }] of this.releases) if (lease === unread) this.releases.delete(name);
  }

  /** The frames in the queues are lost, or their effect is. */
  forget(): void {
    this.releases.clear();
    this.renewals.clear();
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
    if (why === 'recall-timeout') return isInTime(this.releases.get(grantName(holder, session, token))?.at);
    return (this.renewals.get(`${holder} ${partition}`) ?? []).some(isInTime);
  }
}
