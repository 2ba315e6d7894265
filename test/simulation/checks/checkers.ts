/**
 * What must hold in every simulated day. The checkers see what scopes do (`enter`, `leave`, results) and what
 * travels (`NetworkTap`), and know nothing of how locks work.
 */
import {
  compareTokens,
  compareVersions,
  decodeHead,
  type HolderPart,
  type StorePart,
  type SessionRecord,
  type Token,
  type Version,
} from '#protocol';
import type { Log } from '#broker';
import type { SessionWrite } from '#repository';
import { asText, grantName, type CheckedSettings } from './context.js';
import { Expiry } from './expiry.js';
import { GrantOrder } from './grant-order.js';
import { clash, wrongInList, type Locked, type Mark as AnyMark, type Outcome } from './marks.js';
import { Revocations } from './revocations.js';
import type { NetworkTap } from '../world/network.js';
import type { World } from '../world/world.js';

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
  /** The token of that lock now. Its epoch is 0 as long as no store knows the session. */
  readonly token: () => Token;
  /** Another scope got in that this scope's lock should have kept out. This one must not end well. */
  overtakenBy?: string | undefined;
}

export class Checkers implements NetworkTap {
  readonly violations: string[] = [];
  readonly marks = new Map<string, Mark>();
  private readonly inside = new Map<string, Set<Visit>>();
  private readonly versions = new Map<string, Version>();
  private readonly grants = new Map<string, Token>();
  private readonly order: GrantOrder;
  readonly revocations: Revocations;
  private readonly expiry: Expiry;
  /** The last seq of each grant that its holder released. */
  private readonly releases = new Map<string, number>();
  private readonly endedGrants = new Set<string>();
  /** Who holds each session, by what is written. */
  private readonly holding = new Map<string, string>();

  /** Changes that may be lost though their acknowledgement is still under way. */
  private readonly doubtful = new Set<Mark>();
  /** How often the power was lost. */
  losses = 0;
  /** Until then two processes may hold one session: the record of a grant was lost with the power. */
  private blindUntil = -1;

  constructor(
    private readonly world: World,
    private readonly settings: CheckedSettings,
  ) {
    const violation = (what: string) => this.violation(what);
    this.order = new GrantOrder(violation, settings.clockDrift);
    this.revocations = new Revocations({ world, settings, violation });
    this.expiry = new Expiry({ world, settings, violation }, this.revocations);
  }

  violation(what: string): void {
    this.violations.push(`${this.world.time.toFixed(1)} ms: ${what}`);
    this.world.trace(`VIOLATION ${what}`);
  }

  // Exclusion by overlap of scopes: rules 1 and 18. ---------------------------------------------------------

  enter(visit: Visit): void {
    const isSafeByFence = this.settings.unreachableHolder === 'revoke' || this.world.time < this.blindUntil;
    if (this.over.has(visit.session)) {
      if (isSafeByFence) visit.overtakenBy ??= 'the end of the session';
      else this.violation(`${visit.who} is in ${visit.session}, which was destroyed (rule 14)`);
    }
    const here = this.inside.get(visit.session) ?? new Set();
    this.inside.set(visit.session, here);
    for (const other of here) {
      const both = clash(visit, other);
      if (!both) continue;
      if (other.trusts() && !isSafeByFence)
        this.violation(`${visit.who} and ${other.who} are both at '${both}' of ${visit.session}`);
      // Rule 1: of two grants the later one counts. For a while after a power loss that one may be lost.
      const isLate = this.world.time >= this.blindUntil && compareTokens(visit.token(), other.token()) < 0;
      if (isLate) visit.overtakenBy ??= other.who;
      else other.overtakenBy ??= visit.who;
    }
    here.add(visit);
    if (isKept(visit)) this.expiry.used(visit.session);
  }

  /** Rule 11: a scope under a lost lock must not end well. */
  endedWell({ who, session, write, overtakenBy }: Visit): void {
    if (overtakenBy === undefined) return;
    // Where two processes may hold one session, the fence alone protects the state (rule 10). Reads may be
    // stale, and with write-back a result says nothing about its changes (rule 20).
    const bySome = this.settings.unreachableHolder === 'revoke' || this.world.time < this.blindUntil;
    if (bySome && (write.length === 0 || this.settings.writesBack)) return;
    this.violation(`${who} ended well in ${session}, though ${overtakenBy} had got in before`);
  }

  leave(visit: Visit): void {
    const wasInside = this.inside.get(visit.session)?.delete(visit) ?? false;
    // A scope that only waits for its acknowledgement does not use the session any more.
    if (wasInside && isKept(visit) && visit.trusts()) this.expiry.used(visit.session);
  }

  // What may be lost: rule 20, and power loss with `process` durability. ------------------------------------

  /** A holder logs when it lost buffered changes of write-back, and when it failed by an error of its own. */
  listen(holder: string, log: Log): Log {
    const warn = (line: string) => {
      log.warn(line);
      const lost = /^session (\S+): .*write-back/.exec(line);
      if (lost) this.lostUnsent(holder, lost[1]);
    };
    const error = (line: string) => {
      log.error(line);
      if (line.includes('an error in locked-session')) this.violation(`${holder}: ${line}`);
    };
    return { ...log, warn, error };
  }

  /** Changes that the holder had not sent, in one session or in all, may be lost. */
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

  /** Writes since then were lost with the power, and so may be what was acknowledged since. */
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
    // A lost write may be a revocation. Then its holder has the lock again.
    for (const here of this.inside.values()) for (const visit of here) visit.overtakenBy = undefined;
    for (const session of this.over) this.uncertain.add(session);
    this.over.clear();
    this.revocations.forget();
    this.versions.clear();
    this.grants.clear();
    this.expiry.forget();
    this.losses++;
    this.blindUntil = this.world.time + 2 * this.settings.leaseMs;
  }

  settle(mark: Mark, outcome: Outcome): void {
    // Rules 10 and 20: with write-back a holder changes its copy until it learns that another one has the
    // lock. Those changes are lost.
    const holder = this.holding.get(mark.session);
    if (outcome === 'made' && holder !== undefined && holder !== mark.holder) outcome = 'unknown';
    mark.outcome = this.doubtful.has(mark) && outcome !== 'refused' ? 'unknown' : outcome;
    mark.acknowledgedAt = this.world.time;
  }

  // Destroyed sessions stay destroyed: rules 14 and 17. -----------------------------------------------------

  /** Sessions that are destroyed for sure, and those that may be. */
  readonly over = new Set<string>();
  readonly uncertain = new Set<string>();
  /** When sessions got another id. */
  private readonly moves: { readonly at: number; readonly next: string }[] = [];

  /** The session has ended, or continues as `next` with all its attributes. */
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

  /**
   * A scope that was told that its session is destroyed was told the truth. It shows when the destroying
   * scope ends.
   */
  settleEnds(): void {
    this.order.settle();
    for (const { who, session } of this.pendingEnds) {
      if (this.over.has(session) || this.uncertain.has(session)) continue;
      this.violation(`${who} was told that ${session} is destroyed, and nobody did so`);
    }
  }

  private readonly pendingEnds: { who: string; session: string }[] = [];

  /**
   * Rule 6: a scope sees each change once that was acknowledged before it began, and none that was refused.
   */
  sees(
    who: string,
    session: string,
    attribute: string,
    list: readonly string[],
    acknowledgedBefore: ReadonlySet<string>,
  ) {
    const mayBeStale =
      who !== 'auditor' &&
      (this.settings.unreachableHolder === 'revoke' || this.world.time < this.blindUntil);
    const due = [...(mayBeStale ? [] : acknowledgedBefore)].filter((id) => {
      const mark = this.marks.get(id)!;
      const isLost = mark.outcome !== 'acknowledged' && mark.outcome !== 'made'; // since then
      return !isLost && mark.session === session && mark.attribute === attribute;
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

  // Exclusion by token: rule 1, seen at the repository. -----------------------------------------------------

  written(writes: readonly SessionWrite[]): void {
    for (const { session, head, removed } of writes) {
      if (!head) {
        this.versions.delete(session);
        this.expired(session);
        this.expiry.removed(session);
        continue;
      }
      const record = decodeHead(head);
      // No scope removes attributes here. So this session was removed and made anew.
      if (removed.length > 0 && record.destroyed === undefined) this.expired(session);
      const before = this.versions.get(session);
      if (before && compareVersions(record.version, before) < 0) {
        this.violation(`${session}: version ${record.version.join('.')} is written over ${before.join('.')}`);
      }
      this.versions.set(session, record.version);
      this.expiry.written(session, record, this.grants.get(session));
      if (this.settings.writesBack) this.noteEnds(session, record);
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
   * Rule 20: changes of write-back are durable when the release with the last of them is applied. They are
   * lost when the lock is revoked instead. Rule 7: either is so once it is written, also when the store fails
   * before it answers.
   */
  private noteEnds(session: string, { grant, ended }: Pick<SessionRecord, 'grant' | 'ended'>): void {
    if (grant?.revoked) this.lostUnsent(grant.holder, session);
    for (const { holder, token, seq } of ended) {
      const name = grantName(holder, session, token);
      if (this.endedGrants.has(name)) continue;
      this.endedGrants.add(name);
      const last = this.releases.get(name) ?? Infinity;
      // The holder never used this grant and returned it. Its changes belong to another grant.
      if (last === 0) continue;
      const isReleased = last <= seq;
      for (const mark of isReleased ? this.made(holder, session) : []) this.settle(mark, 'acknowledged');
      if (!isReleased) this.lostUnsent(holder, session);
    }
    if (!grant) return;
    this.holding.set(session, grant.holder);
    // A holder whose grant was lost with the power sends nothing more under it.
    for (const mark of this.marks.values())
      if (mark.session === session && mark.outcome === 'made' && mark.holder !== grant.holder)
        mark.outcome = 'unknown';
  }

  /** The session is removed: as a tombstone whose time is over, or as one that no scope used for so long. */
  private expired(session: string): void {
    if (!this.over.has(session) && !this.uncertain.has(session)) this.expiry.expired(session);
    for (const mark of this.marks.values()) {
      if (mark.session !== session || mark.outcome === 'refused') continue;
      if (mark.outcome === 'pending') this.doubtful.add(mark);
      else mark.outcome = 'unknown';
    }
  }

  // What travels: rules 2, 4, 10 and 15, seen on the wire. --------------------------------------------------

  toStore({ holder, partition, messages }: HolderPart, ownership: number, isAsk: boolean): void {
    const { time } = this.world;
    for (const message of messages) {
      this.world.trace(`${holder} → store ${ownership}: ${asText(message)}`);
      if (message.kind === 'acquire' || message.kind === 'knock') this.expiry.wants(holder, message.session);
      switch (message.kind) {
        case 'renew':
          this.revocations.renewed(holder, partition);
          for (const [session, ageMs] of message.touches ?? [])
            this.expiry.tell(session, holder, time - ageMs);
          break;
        case 'leave':
          this.revocations.left(holder);
          this.order.left(holder);
          break;
        case 'acquire':
          if (isAsk) this.order.tookOut(holder, message, ownership, time);
          else this.order.asked(holder, message, ownership, time);
          break;
        case 'cancel':
          this.order.cancelled(holder, message, ownership);
          break;
        case 'knock':
          this.order.knocked(holder, message, ownership, time);
          break;
        case 'commit': {
          const { session, token, seq } = message;
          this.expiry.tellOnce(`${grantName(holder, session, token)} ${seq}`, session, holder);
          break;
        }
        default: {
          // A release or a destroy.
          const { session, token, seq } = message;
          if (message.kind === 'release' && message.set.size > 0) this.expiry.tell(session, holder, time);
          const name = grantName(holder, session, token);
          this.order.gaveBack(holder, session, token);
          this.releases.set(name, Math.max(seq, this.releases.get(name) ?? 0));
        }
      }
    }
  }

  fromStore(holder: string, { partition, epoch, messages }: StorePart, ownership: number): void {
    for (const message of messages) {
      this.world.trace(`store ${ownership} → ${holder}: ${asText(message)}`);
      if (message.kind === 'recall' || (message.kind === 'grant' && message.contended))
        this.revocations.recalled(message.session, message.token);
      if (message.kind === 'disowned') this.revocations.disowned(holder, partition);
      if (message.kind === 'revoked') {
        this.lostUnsent(holder, message.session);
        this.revocations.revoked(holder, partition, message);
      }
      if (message.kind === 'refused') {
        this.order.refused(holder, message, ownership);
        if (message.token) this.revocations.refused(holder, message.session, message.token);
      }
      if (message.kind !== 'grant') continue;
      const grant = grantName(holder, message.session, message.token);
      this.expiry.tellOnce(grant, message.session, holder);
      this.order.granted(holder, message, epoch, ownership, this.world.time);
    }
  }

  queued(part: HolderPart, way: 'partition' | 'own'): void {
    this.revocations.queued(part, way);
  }

  directLost(): void {
    this.revocations.directLost();
  }

  queuesLost(): void {
    this.revocations.forget();
  }
}

/** Whether the store knows the session. */
function isKept({ token }: Visit): boolean {
  return token()[0] > 0;
}
