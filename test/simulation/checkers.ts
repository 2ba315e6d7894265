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
  type Revoked,
  type Token,
  type Version,
} from '#protocol';
import type { Log } from '#broker';
import type { SessionWrite } from '#repository';
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
  /** Whether the store knows the session. */
  readonly isKept: () => boolean;
  /** Somebody got in who should not have, had this scope's lock still been held: it must not end well. */
  overtakenBy?: string | undefined;
}

/** What the checkers know of the stores' settings. */
export interface CheckedRules {
  readonly leaseMs: number;
  readonly recallTimeoutMs: number;
  readonly ttlMs: number;
  readonly unreachableHolder: 'wait-for-lease' | 'revoke';
  readonly writesBack: boolean;
}

interface Line {
  readonly holder: string;
  readonly request: number;
  readonly deadline: number;
  /** A grant of it was returned and asked for again, in an order that cannot be seen from outside. */
  readonly unsure?: boolean;
}

export class Checkers implements NetworkTap {
  readonly violations: string[] = [];
  readonly marks = new Map<string, Mark>();
  private readonly inside = new Map<string, Set<Visit>>();
  private readonly lines = new Map<string, { turn: number; line: Line[] }>();
  private readonly versions = new Map<string, Version>();
  private readonly grants = new Map<string, Token>();
  private readonly sent = new Set<string>();
  private readonly returned = new Set<string>();

  /** When a renewal of a holder was last handed to a partition's store; when a grant was first recalled. */
  private readonly renewals = new Map<string, readonly number[]>();
  private readonly recalls = new Map<string, number>();
  /** When each session was last used for sure. */
  private readonly uses = new Map<string, number>();
  /** Changes whose answer is under way, and may come though they are gone. */
  private readonly doubtful = new Set<Mark>();
  /** How often the power was lost. */
  losses = 0;
  /** Until then two may hold one session: the record of a grant was lost with the power. */
  private blindUntil = -1;

  constructor(
    private readonly world: World,
    private readonly rules: CheckedRules,
  ) {}

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
      other.overtakenBy ??= visit.who;
    }
    here.add(visit);
    if (visit.isKept()) this.used(visit.session);
  }

  /** A scope of a lost lock goes on until it ends, but it must not end well (rule 11). */
  endedWell({ who, session, write, overtakenBy }: Visit): void {
    if (overtakenBy === undefined) return;
    if (write.length === 0 && this.rules.unreachableHolder === 'revoke') return; // stale reads for up to a lease
    if (this.world.time < this.blindUntil && (write.length === 0 || this.rules.writesBack)) return;
    this.violation(`${who} ended well in ${session}, though ${overtakenBy} had got in before`);
  }

  private used(session: string): void {
    this.uses.set(session, this.world.time);
  }

  leave(visit: Visit): void {
    this.inside.get(visit.session)?.delete(visit);
    if (visit.isKept() && visit.trusts()) this.used(visit.session);
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
    for (const mark of this.marks.values()) {
      if (mark.outcome !== 'made' || mark.holder !== holder) continue;
      if (session === undefined || mark.session === session) mark.outcome = 'unknown';
    }
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

  /** Removed: a tombstone whose time is over, or a session that nobody used for so long (rule 15). Touches come every ttl/8, and some are under way. */
  private expired(session: string): void {
    const idleMs = this.world.time - (this.uses.get(session) ?? -Infinity);
    const isTombstone = this.over.has(session) || this.uncertain.has(session);
    if (!isTombstone && idleMs < this.rules.ttlMs * (3 / 4))
      this.violation(`${session} expires ${idleMs.toFixed(0)} ms after it was used (rule 15)`);
    for (const mark of this.marks.values()) {
      if (mark.session !== session || mark.outcome === 'refused') continue;
      if (mark.outcome === 'pending') this.doubtful.add(mark);
      else mark.outcome = 'unknown';
    }
  }

  // Order of grants: rule 2, seen on the wire. --------------------------------------------------------------------------

  toStore(partition: number, bytes: Uint8Array, turn: number): void {
    const { holder, messages } = decodeHolderFrame(bytes);
    for (const message of messages) {
      this.world.trace(`${holder} → store ${turn}: ${shown(message)}`);
      if (message.kind === 'renew') this.renewed(`${holder} ${partition}`);
      if (message.kind === 'leave') this.left(holder);
      if (message.kind === 'release') this.returned.add(returnOf(holder, message));
      if (message.kind !== 'acquire' && message.kind !== 'cancel') continue;
      const line = this.line(message.session, turn);
      const { request } = message;
      const at = line.findIndex((one) => one.holder === holder);
      if (message.kind === 'cancel') {
        if (at >= 0 && line[at]!.request === request) line.splice(at, 1);
        continue;
      }
      const deadline = this.world.time + message.waitMs;
      const lives = at >= 0 && line[at]!.request === request && line[at]!.deadline > this.world.time;
      if (lives) line[at] = { ...line[at]!, deadline };
      else {
        if (at >= 0) line.splice(at, 1);
        line.push({ holder, request, deadline });
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
      if (message.kind === 'refused' && message.request !== undefined) {
        const { line } = this.lines.get(message.session) ?? { line: [] };
        const at = line.findIndex((one) => one.holder === holder && one.request === message.request);
        if (at >= 0) line.splice(at, 1);
      }
      if (message.kind !== 'grant') continue;
      const line = this.line(message.session, turn);
      const at = line.findIndex((one) => one.holder === holder && one.request === message.request);
      const grant = `${message.session} ${message.token.join('.')}`;
      const isRepeat = this.sent.has(grant) || message.token[0] < epoch;
      this.sent.add(grant);
      if (isRepeat) {
        // A repeated request, answered by the same grant again. If that was returned since, a later repeat may be in line.
        if (at >= 0 && this.returned.has(returnOf(holder, message)))
          line[at] = { ...line[at]!, unsure: true };
        else if (at >= 0) line.splice(at, 1);
        continue;
      }
      if (at >= 0 && line[at]!.unsure) {
        line.splice(at, 1);
        continue;
      }
      if (at < 0) continue; // an old duplicate of a request, taken for a new one: its grant will come back
      // A request whose time is nearly over may be skipped; so may one that came while this was decided.
      const passed = line
        .slice(0, at)
        .filter(({ deadline, unsure }) => !unsure && deadline > this.world.time + 1);
      for (const other of passed) {
        this.violation(`${message.session}: ${holder} is granted before ${other.holder}, who asked first`);
      }
      line.splice(at, 1);
    }
  }

  /** The store takes nothing away but for a waiter, from a holder that is silent for a lease or has not released in time (rule 10). */
  private revoked(holder: string, partition: number, { session, token, why }: Revoked): void {
    this.revocations++;
    this.lostUnsent(holder, session);
    const since = (at = -Infinity) => this.world.time - at;
    // What came just now may be in the same batch, behind the request that had the lock revoked.
    const renewals = this.renewals.get(`${holder} ${partition}`) ?? [];
    const silentMs = since(renewals.findLast((at) => since(at) > 700));
    const recalledMs = since(this.recalls.get(`${session} ${token.join('.')}`) ?? this.world.time);
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

  private left(holder: string): void {
    this.gone.add(holder);
    for (const { line } of this.lines.values()) {
      const at = line.findIndex((one) => one.holder === holder);
      if (at >= 0) line.splice(at, 1);
    }
  }

  private readonly gone = new Set<string>();
  revocations = 0;

  private line(session: string, turn: number): Line[] {
    let line = this.lines.get(session);
    if (line?.turn !== turn) this.lines.set(session, (line = { turn, line: [] }));
    return line.line;
  }
}

function returnOf(holder: string, { session, token }: { session: string; token: Token }): string {
  return `${holder} ${session} ${token.join('.')}`;
}

function shown(message: object): string {
  return JSON.stringify(message, (_key, value: unknown) =>
    value instanceof Map ? [...value.keys()] : value,
  );
}
