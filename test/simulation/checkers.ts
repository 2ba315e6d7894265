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
  sameToken,
  type Token,
  type Version,
} from '#protocol';
import type { SessionWrite } from '#repository';
import { clash, wrongInList, type Locked, type Mark } from './marks.js';
import type { NetworkTap } from './network.js';
import type { World } from './world.js';

/** A root scope while its body runs. */
export interface Visit extends Locked {
  readonly who: string;
  readonly session: string;
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
  private readonly sent = new Map<string, Token>();
  private readonly returned = new Set<string>();

  constructor(private readonly world: World) {}

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
      if (both) this.violation(`${visit.who} and ${other.who} are both at '${both}' of ${visit.session}`);
    }
    here.add(visit);
  }

  leave(visit: Visit): void {
    this.inside.get(visit.session)?.delete(visit);
  }

  // Every acknowledged change exactly once: rule 6. -------------------------------------------------------------------

  // Destroyed sessions stay destroyed: rules 14 and 17. ------------------------------------------------------------------

  /** Sessions that are destroyed for sure, and those of which nobody can tell. */
  readonly over = new Set<string>();
  readonly uncertain = new Set<string>();

  /** The session has ended, or has gone on as `next` with all that was in it. */
  ended(session: string, next: string | undefined, sure: boolean): void {
    (sure ? this.over : this.uncertain).add(session);
    for (const [id, mark] of this.marks) {
      if (mark.session !== session) continue;
      if (sure && next !== undefined) this.marks.set(id, { ...mark, session: next });
      else if (mark.outcome === 'acknowledged') mark.outcome = 'unknown';
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
    const due = [...acknowledgedBefore].filter((id) => {
      const mark = this.marks.get(id)!;
      return mark.session === session && mark.attribute === attribute;
    });
    for (const wrong of wrongInList(list, due, this.marks))
      this.violation(`${who} ${wrong} in '${attribute}' of ${session}`);
  }

  acknowledged(): Set<string> {
    return new Set(
      [...this.marks.values()].filter(({ outcome }) => outcome === 'acknowledged').map(({ id }) => id),
    );
  }

  // Exclusion by token: rule 1, seen at the repository. -----------------------------------------------------------------

  written(writes: readonly SessionWrite[]): void {
    for (const { session, head } of writes) {
      if (!head) {
        this.versions.delete(session);
        continue;
      }
      const record = decodeHead(head);
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

  // Order of grants: rule 2, seen on the wire. --------------------------------------------------------------------------

  toStore(_partition: number, bytes: Uint8Array, turn: number): void {
    const { holder, messages } = decodeHolderFrame(bytes);
    for (const message of messages) {
      this.world.trace(`${holder} → store ${turn}: ${shown(message)}`);
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
    for (const message of decodeStoreFrame(bytes).messages) {
      this.world.trace(`store ${turn} → ${holder}: ${shown(message)}`);
      if (message.kind === 'refused' && message.request !== undefined) {
        const { line } = this.lines.get(message.session) ?? { line: [] };
        const at = line.findIndex((one) => one.holder === holder && one.request === message.request);
        if (at >= 0) line.splice(at, 1);
      }
      if (message.kind !== 'grant') continue;
      const line = this.line(message.session, turn);
      const at = line.findIndex((one) => one.holder === holder && one.request === message.request);
      const last = this.sent.get(message.session);
      this.sent.set(message.session, message.token);
      if (last && sameToken(last, message.token)) {
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
