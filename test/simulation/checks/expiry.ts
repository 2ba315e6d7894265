/**
 * Rule 15: a session expires when its time to live has passed since its last use, and then no holder is
 * granted it. The check knows each use for sure, and separately what the stores were told of uses.
 */
import { partitionOf, type SessionRecord, type Token } from '#protocol';
import type { Context } from './context.js';
import type { Revocations } from './revocations.js';

type Written = Pick<SessionRecord, 'version' | 'grant' | 'touched'>;

export class Expiry {
  /** When each session was last used, by what was written last. */
  private readonly touched = new Map<string, number>();
  /** When each session was last used for sure. */
  private readonly uses = new Map<string, number>();
  /** When the store last heard that it was used, and by whom. */
  private readonly told = new Map<string, { readonly holder: string; readonly at: number }>();
  /** Grants and commits that count as uses. A repeat of one is no use. */
  private readonly toldOf = new Set<string>();
  /** Who asked for each session last, and when. */
  private readonly wanted = new Map<string, { readonly holder: string; readonly at: number }>();
  /** Sessions whose lock was revoked last, by what is written. */
  private readonly takenAway = new Set<string>();

  constructor(
    private readonly context: Context,
    private readonly revocations: Revocations,
  ) {}

  used(session: string): void {
    this.uses.set(session, this.context.world.time);
  }

  wants(holder: string, session: string): void {
    this.wanted.set(session, { holder, at: this.context.world.time });
  }

  /** The store learns of a session's use. */
  tell(session: string, holder: string, at: number): void {
    this.told.set(session, { holder, at: Math.max(at, this.told.get(session)?.at ?? at) });
  }

  tellOnce(what: string, session: string, holder: string): void {
    if (!this.toldOf.has(what)) this.tell(session, holder, this.context.world.time);
    this.toldOf.add(what);
  }

  /** What was written may be lost. */
  forget(): void {
    this.touched.clear();
  }

  /**
   * The record of a session is written. An expired session is granted to no holder, found by the index or
   * not.
   */
  written(session: string, record: Written, lastGrant: Token | undefined): void {
    const { version, grant, touched } = record;
    const last = this.touched.get(session) ?? touched;
    this.touched.set(session, touched);
    if (!grant) return;
    if (grant.revoked) this.takenAway.add(session);
    else this.takenAway.delete(session);
    if (grant.token.join() === lastGrant?.join()) return;
    const isMadeAnew = version[0] === grant.token[0] && version[1] === grant.token[1];
    const slack = 1.02; // clocks differ
    // By the store's clock, and by what it was told in time: a touch of the last milliseconds may be in the
    // next batch.
    const idleMs = Math.min(touched - last, this.since(this.told.get(session)?.at));
    if (!isMadeAnew && idleMs > this.context.settings.ttlMs * slack)
      this.context.violation(
        `${session} is granted to ${grant.holder} ${idleMs.toFixed(0)} ms after its last use (rule 15)`,
      );
  }

  /** The session is removed, and not as a tombstone. Touches come every ttl/8, and some are under way. */
  expired(session: string): void {
    const { world, settings } = this.context;
    // What a holder did under a revoked lock counts as far as it is written.
    const written = (this.touched.get(session) ?? -Infinity) - world.clock.now().wall + world.time;
    const idleMs = this.since(this.takenAway.has(session) ? written : this.uses.get(session));
    if (idleMs < settings.ttlMs * (3 / 4) && !this.isGraceOver(session))
      this.context.violation(`${session} expires ${idleMs.toFixed(0)} ms after it was used (rule 15)`);
  }

  removed(session: string): void {
    this.touched.delete(session);
  }

  /**
   * A holder that is silent for a lease may use the session unheard. The store keeps the session for another
   * quarter of the time to live, unless another holder has asked for it since.
   */
  private isGraceOver(session: string): boolean {
    const told = this.told.get(session);
    if (!told) return false;
    const { holder, at } = told;
    const { leaseMs, ttlMs, partitions } = this.context.settings;
    const slack = 0.98; // clocks differ
    // A renewal of the last milliseconds may be in the next batch.
    const silentMs = this.revocations.silenceMs(holder, partitionOf(session, partitions), 50);
    const wanted = this.wanted.get(session);
    const isWanted = wanted !== undefined && wanted.holder !== holder && wanted.at > at;
    return silentMs >= leaseMs * slack && this.since(at) >= ttlMs * (isWanted ? 1 : 5 / 4) * slack;
  }

  private since(at = -Infinity): number {
    return this.context.world.time - at;
  }
}
