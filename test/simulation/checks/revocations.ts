/**
 * Rule 10: a store revokes a lock only for a waiter, and only from a holder that was silent for a lease or
 * did not release in time. What had arrived in time counts, whether or not the store had read it.
 */
import type { HolderPart, Revoked, Token } from '#protocol';
import { Answers } from './answers.js';
import type { Context } from './context.js';

/** Clocks differ by so much. */
const slack = 0.98;
/** Renewals of a holder in a partition that are remembered. */
const remembered = 50;

export class Revocations {
  count = 0;
  /** By the way that they came. */
  private readonly answers = { partition: new Answers(), own: new Answers() };
  /** When renewals of a holder reached a partition's store. */
  private readonly renewals = new Map<string, readonly number[]>();
  /** When a grant was recalled first. */
  private readonly recalls = new Map<string, number>();
  private readonly gone = new Set<string>();

  constructor(private readonly context: Context) {}

  /** A renewal is handed to the partition's store. */
  renewed(holder: string, partition: number): void {
    const lease = `${holder} ${partition}`;
    const times = [...(this.renewals.get(lease) ?? []), this.context.world.time];
    this.renewals.set(lease, times.slice(-remembered));
  }

  left(holder: string): void {
    this.gone.add(holder);
  }

  recalled(session: string, token: Token): void {
    const recall = `${session} ${token.join('.')}`;
    if (!this.recalls.has(recall)) this.recalls.set(recall, this.context.world.time);
  }

  /** A part arrives in the partition's queue, or in a store's own. */
  queued(part: HolderPart, way: 'partition' | 'own'): void {
    this.answers[way].queued(part, this.context.world.time);
  }

  /** What is in stores' own queues may be lost (rule 22). */
  directLost(): void {
    this.answers.own.forget();
  }

  /** What the holder has sent to this store's own queue is told to no owner. The holder sends it again. */
  disowned(holder: string, partition: number): void {
    this.answers.own.disowned(holder, partition);
  }

  /** The store has read the release, and the grant continues. */
  refused(holder: string, session: string, token: Token): void {
    for (const answers of Object.values(this.answers)) answers.refused(holder, session, token);
  }

  /** The frames in the queues are lost, or their effect is. */
  forget(): void {
    for (const answers of Object.values(this.answers)) answers.forget();
  }

  /** How long ago the holder's last renewal came, without those of the last `butMs`. */
  silenceMs(holder: string, partition: number, butMs: number): number {
    const renewals = this.renewals.get(`${holder} ${partition}`) ?? [];
    return this.since(renewals.findLast((at) => this.since(at) > butMs));
  }

  revoked(holder: string, partition: number, revoked: Revoked): void {
    const { session, token, why } = revoked;
    const { world, settings } = this.context;
    const { leaseMs, recallTimeoutMs, unreachableHolder } = settings;
    this.count++;
    // A renewal of the last milliseconds may be in the same batch, behind the request that had the lock
    // revoked.
    const silentMs = this.silenceMs(holder, partition, 700);
    const recalledMs = this.since(this.recalls.get(`${session} ${token.join('.')}`) ?? world.time);
    const late = why === 'recall-timeout' && recalledMs >= recallTimeoutMs * slack;
    const silent = why === 'lease-over' && (silentMs >= leaseMs * slack || this.gone.has(holder));
    if (!late && !silent && unreachableHolder !== 'revoke')
      this.context.violation(
        `${session} is revoked from ${holder} (${why}) ${silentMs.toFixed(0)} ms after a renewal and ` +
          `${recalledMs.toFixed(0)} ms after the recall`,
      );
    const isExcused = why === 'lease-over' && (this.gone.has(holder) || unreachableHolder === 'revoke');
    if (isExcused) return;
    // An answer is in time after the renewal that counted, or after the recall, and before the deadline.
    const [agoMs, timeMs] = why === 'lease-over' ? [silentMs, leaseMs] : [recalledMs, recallTimeoutMs];
    const from = world.time - agoMs;
    const to = from + timeMs * slack;
    if (Object.values(this.answers).some((one) => one.isThere(holder, partition, revoked, from, to)))
      this.context.violation(
        `${session} is revoked from ${holder} (${why}), which had answered in time (rule 10)`,
      );
  }

  private since(at = -Infinity): number {
    return this.context.world.time - at;
  }
}
