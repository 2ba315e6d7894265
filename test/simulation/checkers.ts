/**
 * What must hold whatever happens. The checkers see what scopes do (`enter`, `leave`, results) and what travels (`NetworkTap`), and know nothing of
 * how locks work.
 */
import {
  compareTokens,
  compareVersions,
  decodeHead,
  decodeHolderFrame,
  decodeStoreFrame,
  partitionOf,
  type SessionRecord,
  type Revoked,
  type Token,
  type Version,
} from '#protocol';
import type { Log } from '#broker';
import type { SessionWrite } from '#repository';
import { GrantOrder } from './grant-order.js';
import { clash, wrongInList, type Locked, type Mark as AnyMark, type Outcome } from './marks.js';
import type { NetworkTap } from './network.js';
import type { World } from './world.js';

/** A change, and who made it when. */
export interface Mark extends AnyMark {
  readonly holder: string;
  acknowledgedAt: number;
}

/** A root scope while its body runs. */
export interface Visit extends Locked {
  readonly who: string;
  readonly session: string;
  /** Whether the scope's process may still use the lock that the scope came in by. */
  readonly trusts: () => boolean;
  /** What that lock bears now; its epoch is 0 as long as no store knows the session. */
  readonly token: () => Token;
  /** Somebody got in who should not have, had this scope's lock still been held: it must not end well. */
  overtakenBy?: string | undefined;
}

/** What the checkers know of the stores' settings. */
export interface CheckedRules {
  readonly partitions: number;
  readonly leaseMs: number;
  readonly recallTimeoutMs: number;
  readonly ttlMs: number;
  readonly unreachableHolder: 'wait-for-lease' | 'revoke';
  readonly writesBack: boolean;
  readonly clockDrift: number;
}

export class Checkers implements NetworkTap {
  readonly violations: string[] = [];
  readonly marks = new Map<string, Mark>();
  private readonly inside = new Map<string, Set<Visit>>();
  private readonly versions = new Map<string, Version>();
  private readonly grants = new Map<string, Token>();
  private readonly order: GrantOrder;
  /** The last seq of each grant that its holder gave back, as its release says. */
  private readonly releases = new Map<string, number>();
  private readonly endedGrants = new Set<string>();
  /** Who holds each session, by what is written. */
  private readonly holding = new Map<string, string>();

  /** When a renewal of a holder was last handed to a partition's store; when a grant was first recalled. */
  private readonly renewals = new Map<string, readonly number[]>();
  private readonly recalls = new Map<string, number>();
  /** When each session was last used for sure. */
  private readonly uses = new Map<string, number>();
  /** When the store last heard that it was used, and by whom. */
  private readonly told = new Map<string, { readonly holder: string; readonly at: number }>();
  /** Changes whose answer is under way, and may come though they are gone. */
  private readonly doubtful = new Set<Mark>();
  /** How often the power was lost. */
  losses = 0;
  /** Until then two may hold one session: the record of a grant was lost with the power. */
  private blindUntil = -1;

  constructor(
    private readonly world: World,
    private readonly rules: CheckedRules,
  ) {
    this.order = new GrantOrder((what) => this.violation(what), rules.clockDrift);
  }

  violation(what: string): void {
    this.violations.push(`${this.world.time.toFixed(1)} ms: ${what}`);
    this.world.trace(`VIOLATION ${what}`);
  }

  // Exclusion by overlap of scopes: rules 1 and 18. ----------------------------------------------------------------

  enter(visit: Visit): void {
    if (this.over.has(visit.session))
      this.violation(`${visit.who} is in ${visit.session}, which was destroyed (rule 14)`);
    const here = this.inside.get(visit.session) ?? new Set();
    this.inside.set(visit.session, here);
    for (const other of here) {
      const both = clash(visit, other);
      if (!both) continue;
      const allowed = this.rules.unreachableHolder === 'revoke' || this.world.time < this.blindUntil;
      if (other.trusts() && !allowed)
        this.violation(`${visit.who} and ${other.who} are both at '${both}' of ${visit.session}`);
      // Of two grants the later one is good (rule 1), whoever came first; but for a while after a power loss it may be the one that is lost.
      const isLate = this.world.time >= this.blindUntil && compareTokens(visit.token(), other.token()) < 0;
      if (isLate) visit.overtakenBy ??= other.who;
      else other.overtakenBy ??= visit.who;
    }
    here.add(visit);
    if (isKept(visit)) this.used(visit.session);
  }

  /** A scope of a lost lock goes on until it ends, but it must not end well (rule 11). */
  endedWell({ who, session, write, overtakenBy }: Visit): void {
    if (overtakenBy === undefined) return;
    // Where two may hold one session the fence alone keeps the state whole (rule 10): reads may be stale, and with write-back a result says nothing of its changes (rule 20).
    const bySome = this.rules.unreachableHolder === 'revoke' || this.world.time < this.blindUntil;
    if (bySome && (write.length === 0 || this.rules.writesBack)) return;
    this.violation(`${who} ended well in ${session}, though ${overtakenBy} had got in before`);
  }

  private used(session: string): void {
    this.uses.set(session, this.world.time);
  }

  leave(visit: Visit): void {
    this.inside.get(visit.session)?.delete(visit);
    if (isKept(visit) && visit.trusts()) this.used(visit.session);
  }

  // Harm that may come to what was made: rule 20, and power loss with `process` durability. ------------------------------

  /** A holder's log, in which it says when it lost what write-back had held back. */
  listen(holder: string, log: Log): Log {
    const warn = (line: string) => {
      log.warn(line);
      const lost = /^session (\S+): .*write-back/.exec(line);
      if (lost) this.lostUnsent(holder, lost[1]);
    };
    return { ...log, warn };
  }

  /** What the holder had only made, in one session or in all, may be gone. */
  lostUnsent(holder: string, session?: string): void {
    for (const mark of this.made(holder, session)) mark.outcome = 'unknown';
  }

  private made(holder: string, session?: string): Mark[] {
    return [...this.marks.values()].filter(
      (mark) =>
        mark.outcome === 'made' &&
        mark.holder === holder &&
        (session === undefined || mark.session === session),
    );
  }

  /** Writes since then were lost with the power: whatever was told since may not have happened. */
  forget(since: number): void {
    for (const mark of this.marks.values()) {
      if (mark.outcome === 'made' || (mark.outcome === 'acknowledged' && mark.acknowledgedAt >= since))
        mark.outcome = 'unknown';
      if (mark.outcome === 'pending') this.doubtful.add(mark);
    }
    for (const { at, next } of this.moves) {
      if (at < since) continue;
      for (const mark of this.marks.values())
        if (mark.session === next && mark.outcome !== 'refused') mark.outcome = 'unknown';
    }
    // A revocation may be among what was lost: then its holder has the lock again.
    for (const here of this.inside.values()) for (const visit of here) visit.overtakenBy = undefined;
    for (const session of this.over) this.uncertain.add(session);
    this.over.clear();
    this.versions.clear();
    this.grants.clear();
    this.losses++;
    this.blindUntil = this.world.time + 2 * this.rules.leaseMs;
  }

  settle(mark: Mark, outcome: Outcome): void {
    // With write-back a holder goes on to make changes in its copy until it hears that its lock is somebody else's: they are lost (rules 10 and 20).
    const holder = this.holding.get(mark.session);
    if (outcome === 'made' && holder !== undefined && holder !== mark.holder) outcome = 'unknown';
    mark.outcome = this.doubtful.has(mark) && outcome !== 'refused' ? 'unknown' : outcome;
    mark.acknowledgedAt = this.world.time;
  }

  // Every acknowledged change exactly once: rule 6. -------------------------------------------------------------------

  // Destroyed sessions stay destroyed: rules 14 and 17. ------------------------------------------------------------------

  /** Sessions that are destroyed for sure, and those of which nobody can tell. */
  readonly over = new Set<string>();
  readonly uncertain = new Set<string>();
  /** When sessions got another id. */
  private readonly moves: { readonly at: number; readonly next: string }[] = [];

  /** The session has ended, or has gone on as `next` with all that was in it. */
  ended(session: string, next: string | undefined, sure: boolean): void {
    (sure ? this.over : this.uncertain).add(session);
    if (next !== undefined) this.moves.push({ at: this.world.time, next });
    if (!sure && next !== undefined) this.uncertain.add(next); // taken back when the end of the old one fails
    for (const [id, mark] of this.marks) {
      if (mark.session !== session) continue;
      if (sure && next !== undefined) this.marks.set(id, { ...mark, session: next });
      else if (mark.outcome === 'acknowledged' || mark.outcome === 'made') mark.outcome = 'unknown';
    }
  }

  turnedAway(who: string, session: string): void {
    if (this.over.has(session) || this.uncertain.has(session)) return;
    this.pendingEnds.push({ who, session });
  }

  /** Whoever was told that a session is destroyed was told the truth: known when the scope that destroyed it has ended. */
  settleEnds(): void {
    this.order.settle();
    for (const { who, session } of this.pendingEnds) {
      if (this.over.has(session) || this.uncertain.has(session)) continue;
      this.violation(`${who} was told that ${session} is destroyed, and nobody did so`);
    }
  }

  private readonly pendingEnds: { who: string; session: string }[] = [];

  /** What a scope sees must hold all that was acknowledged before it began, once, and nothing that was refused. */
  sees(
    who: string,
    session: string,
    attribute: string,
    list: readonly string[],
    acknowledgedBefore: ReadonlySet<string>,
  ) {
    const mayBeStale =
      who !== 'auditor' && (this.rules.unreachableHolder === 'revoke' || this.world.time < this.blindUntil);
    const due = [...(mayBeStale ? [] : acknowledgedBefore)].filter((id) => {
      const mark = this.marks.get(id)!;
      const came = mark.outcome !== 'acknowledged' && mark.outcome !== 'made'; // to harm since
      return !came && mark.session === session && mark.attribute === attribute;
    });
    for (const wrong of wrongInList(list, due, this.marks))
      this.violation(`${who} ${wrong} in '${attribute}' of ${session}`);
  }

  acknowledged(): Set<string> {
    return new Set(
      [...this.marks.values()]
        .filter(({ outcome }) => outcome === 'acknowledged' || outcome === 'made')
        .map(({ id }) => id),
    );
  }

  // Exclusion by token: rule 1, seen at the repository. -----------------------------------------------------------------

  written(writes: readonly SessionWrite[]): void {
    for (const { session, head, delete: removed } of writes) {
      if (!head) {
        this.versions.delete(session);
        this.expired(session);
        continue;
      }
      const record = decodeHead(head);
      // Nobody deletes attributes here: this session was removed, and made anew.
      if (removed.length > 0 && record.destroyed === undefined) this.expired(session);
      const before = this.versions.get(session);
      if (before && compareVersions(record.version, before) < 0) {
        this.violation(`${session}: version ${record.version.join('.')} is written over ${before.join('.')}`);
      }
      this.versions.set(session, record.version);
      if (this.rules.writesBack) this.noteEnds(session, record);
      if (!record.grant) continue;
      const last = this.grants.get(session);
      if (last && compareTokens(record.grant.token, last) < 0) {
        this.violation(
          `${session}: token ${record.grant.token.join('.')} is granted after ${last.join('.')}`,
        );
      }
      this.grants.set(session, record.grant.token);
    }
  }

  /**
   * With write-back: what was only made is durable when the release that brings the last of it is applied (rule 20), and gone when the lock is revoked instead. That is so
   * as soon as it is written, even if nobody is told because the store failed then (rule 7).
   */
  private noteEnds(session: string, { grant, ended }: Pick<SessionRecord, 'grant' | 'ended'>): void {
    if (grant?.revoked) this.lostUnsent(grant.holder, session);
    for (const { holder, token, seq } of ended) {
      const name = nameOf(holder, session, token);
      if (this.endedGrants.has(name)) continue;
      this.endedGrants.add(name);
      const isReleased = (this.releases.get(name) ?? Infinity) <= seq;
      for (const mark of isReleased ? this.made(holder, session) : []) this.settle(mark, 'acknowledged');
      if (!isReleased) this.lostUnsent(holder, session);
    }
    if (!grant) return;
    this.holding.set(session, grant.holder);
    // Of a holder whose grant is gone without a trace, with the power, nothing follows any more.
    for (const mark of this.marks.values())
      if (mark.session === session && mark.outcome === 'made' && mark.holder !== grant.holder)
        mark.outcome = 'unknown';
  }

  /** Removed: a tombstone whose time is over, or a session that nobody used for so long (rule 15). Touches come every ttl/8, and some are under way. */
  private expired(session: string): void {
    const idleMs = this.since(this.uses.get(session));
    const isTombstone = this.over.has(session) || this.uncertain.has(session);
    if (!isTombstone && idleMs < this.rules.ttlMs * (3 / 4) && !this.isGraceOver(session))
      this.violation(`${session} expires ${idleMs.toFixed(0)} ms after it was used (rule 15)`);
    for (const mark of this.marks.values()) {
      if (mark.session !== session || mark.outcome === 'refused') continue;
      if (mark.outcome === 'pending') this.doubtful.add(mark);
      else mark.outcome = 'unknown';
    }
  }

  /** Rule 15: what a holder does that is silent for a lease nobody knows of; its session is kept for another quarter of the time to live. */
  private isGraceOver(session: string): boolean {
    const { holder, at } = this.told.get(session) ?? {};
    if (holder === undefined) return false;
    const { leaseMs, ttlMs } = this.rules;
    const slack = 0.98; // clocks differ
    // What came within the last milliseconds may be in the batch behind.
    const silentMs = this.silence(holder, partitionOf(session, this.rules.partitions), 50);
    return silentMs >= leaseMs * slack && this.since(at) >= ttlMs * (5 / 4) * slack;
  }

  // What travels: rules 2, 4, 10 and 15, seen on the wire. --------------------------------------------------------------------------

  toStore(partition: number, bytes: Uint8Array, turn: number, isAsk: boolean): void {
    const { holder, messages } = decodeHolderFrame(bytes);
    const { time } = this.world;
    for (const message of messages) {
      this.world.trace(`${holder} → store ${turn}: ${shown(message)}`);
      switch (message.kind) {
        case 'renew':
          this.renewed(`${holder} ${partition}`);
          for (const [session, ageMs] of message.touches ?? []) this.tell(session, holder, time - ageMs);
          break;
        case 'leave':
          this.gone.add(holder);
          this.order.left(holder);
          break;
        case 'acquire':
          if (isAsk) this.order.tookOut(holder, message, turn, time);
          else this.order.asked(holder, message, turn, time);
          break;
        case 'cancel':
          this.order.cancelled(holder, message, turn);
          break;
        case 'knock':
          this.order.knocked(holder, message, turn, time);
          break;
        case 'commit':
          this.tell(message.session, holder, time);
          break;
        default: {
          // A release or the session's end.
          const { session, token, seq } = message;
          const name = nameOf(holder, session, token);
          this.order.gaveBack(holder, session, token);
          this.releases.set(name, Math.max(seq, this.releases.get(name) ?? 0));
        }
      }
    }
  }

  fromStore(holder: string, bytes: Uint8Array, turn: number): void {
    const { partition, epoch, messages } = decodeStoreFrame(bytes);
    for (const message of messages) {
      this.world.trace(`store ${turn} → ${holder}: ${shown(message)}`);
      if (message.kind === 'recall' || (message.kind === 'grant' && message.contended)) {
        const recall = `${message.session} ${message.token.join('.')}`;
        if (!this.recalls.has(recall)) this.recalls.set(recall, this.world.time);
      }
      if (message.kind === 'revoked') this.revoked(holder, partition, message);
      if (message.kind === 'refused') this.order.refused(holder, message, turn);
      if (message.kind !== 'grant') continue;
      if (this.told.get(message.session)?.holder !== holder)
        this.tell(message.session, holder, this.world.time);
      this.order.granted(holder, message, epoch, turn, this.world.time);
    }
  }

  /** The store takes nothing away but for a waiter, from a holder that is silent for a lease or has not released in time (rule 10). */
  private revoked(holder: string, partition: number, { session, token, why }: Revoked): void {
    this.revocations++;
    this.lostUnsent(holder, session);
    // What came just now may be in the same batch, behind the request that had the lock revoked.
    const silentMs = this.silence(holder, partition, 700);
    const recalledMs = this.since(this.recalls.get(`${session} ${token.join('.')}`) ?? this.world.time);
    const { leaseMs, recallTimeoutMs, unreachableHolder } = this.rules;
    const slack = 0.98; // clocks differ
    const late = why === 'recall-timeout' && recalledMs >= recallTimeoutMs * slack;
    const silent = why === 'lease-over' && (silentMs >= leaseMs * slack || this.gone.has(holder));
    if (!late && !silent && unreachableHolder !== 'revoke')
      this.violation(
        `${session} is revoked from ${holder} (${why}) ${silentMs.toFixed(0)} ms after a renewal and ` +
          `${recalledMs.toFixed(0)} ms after the recall`,
      );
  }

  private renewed(lease: string): void {
    this.renewals.set(lease, [...(this.renewals.get(lease) ?? []), this.world.time].slice(-50));
  }

  /** How long ago the holder's last renewal came, but for those of the last milliseconds. */
  private silence(holder: string, partition: number, butMs: number): number {
    const renewals = this.renewals.get(`${holder} ${partition}`) ?? [];
    return this.since(renewals.findLast((at) => this.since(at) > butMs));
  }

  private since(at = -Infinity): number {
    return this.world.time - at;
  }

  /** The store learns of a session's use. */
  private tell(session: string, holder: string, at: number): void {
    this.told.set(session, { holder, at });
  }

  private readonly gone = new Set<string>();
  revocations = 0;
}

/** Whether the store knows the session. */
function isKept({ token }: Visit): boolean {
  return token()[0] > 0;
}

function nameOf(holder: string, session: string, token: Token): string {
  return `${holder} ${session} ${token.join('.')}`;
}

function shown(message: object): string {
  return JSON.stringify(message, (_key, value: unknown) =>
    value instanceof Map ? [...value.keys()] : value,
  );
}
