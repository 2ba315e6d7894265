/**
 * The verdict on the traces of any number of processes. A violation is certain: what could be explained by
 * something that the traces do not tell is not known.
 */
import type { Trace } from '../reader.js';
import { explain } from './explain.js';
import type { Finding } from './finding.js';
import { linearize, type SearchOptions } from './linearize.js';
import { mergeTraces, type History } from './merge.js';
import type { Operation } from './operation.js';
import { mixedTokens, wrongByTokens } from './tokens.js';
import { waitFigures, type WaitFigures } from './waits.js';

export interface VerifyOptions extends Partial<SearchOptions> {}

export interface Report {
  /** `ok`: nothing was found, and everything is known that the verdict needs. */
  readonly verdict: 'ok' | 'violation' | 'not-known';
  readonly findings: readonly Finding[];
  /** Why not everything is known. */
  readonly notKnown: readonly string[];
  readonly counts: {
    readonly holders: number;
    readonly stores: number;
    /** Processes whose traces have no end: they were killed, or still run. */
    readonly open: number;
    readonly sessions: number;
    readonly operations: number;
    /** Those of which nobody knows whether they had an effect. */
    readonly optional: number;
  };
  readonly waits: readonly WaitFigures[];
  readonly clockErrorMs: number;
}

/** The clocks of machines in one network agree to a few milliseconds when they are kept by NTP. */
export const verifyDefaults: SearchOptions = { clockErrorMs: 50, maxStates: 1_000_000 };

export function verifyTraces(traces: readonly Trace[], options: VerifyOptions = {}): Report {
  const search = { ...verifyDefaults, ...options };
  const { clockErrorMs } = search;
  const history = mergeTraces(traces, clockErrorMs);
  const findings: Finding[] = [...mixedTokens(history.sessions.values())];
  const notKnown = [...history.gaps];
  let operations = 0;
  let optional = 0;
  for (const session of history.sessions.values()) {
    findings.push(...wrongByTokens(session, clockErrorMs));
    const known = knownOperations(session.operations, history);
    operations += known.length;
    optional += known.filter((operation) => operation.optional).length;
    const found = linearize(known, search);
    if (found.kind === 'impossible') findings.push(explain(session.session, found, known));
    if (found.kind === 'too-long')
      notKnown.push(`session ${session.session}: the search was given up after ${search.maxStates} states`);
  }
  const roles = traces.map(({ head }) => head.role);
  const holders = roles.filter((role) => role === 'holder').length;
  return {
    verdict: verdictOf(findings, notKnown),
    findings,
    notKnown,
    counts: {
      holders,
      stores: roles.length - holders,
      open: history.open,
      sessions: history.sessions.size,
      operations,
      optional,
    },
    waits: waitFigures(history.waits),
    clockErrorMs,
  };
}

function verdictOf(findings: readonly Finding[], notKnown: readonly string[]): Report['verdict'] {
  if (findings.length > 0) return 'violation';
  return notKnown.length > 0 ? 'not-known' : 'ok';
}

/**
 * What is whole as far as the traces go. When one of them was cut, what came later may have seen what is not
 * in it; when one is missing, so may everything.
 */
function knownOperations(operations: readonly Operation[], { horizon, isIncomplete }: History): Operation[] {
  if (isIncomplete) return [];
  return operations
    .filter(({ begin }) => begin <= horizon)
    .map((operation) =>
      operation.end <= horizon
        ? operation
        : { ...operation, end: Infinity, optional: true, reads: new Map(), readsAll: false },
    );
}
