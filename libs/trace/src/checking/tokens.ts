/**
 * What tokens, versions and epochs prove: a lock that two had at once, something old that took effect after
 * something new, a change that was applied twice, sessions that were mixed up. The search for an order needs
 * none of this.
 */
import { tokenText, timeText, type Finding } from './finding.js';
import type { SessionHistory, Token, Use, Written } from './session-history.js';

const compare = (a: Token, b: Token): number => a[0] - b[0] || a[1] - b[1];

export function* wrongByTokens(history: SessionHistory, clockErrorMs: number): Generator<Finding> {
  yield* usedTwice(history, clockErrorMs);
  yield* grantedTwice(history);
  yield* usedLate(history, clockErrorMs);
  yield* writtenLate(history);
}

/** One token for two sessions of a partition. */
export function* mixedTokens(histories: Iterable<SessionHistory>): Generator<Finding> {
  const owners = new Map<string, Written & { session: string }>();
  for (const { session, writes } of histories) {
    for (const written of writes) {
      const grant = written.write.record?.grant;
      if (!grant) continue;
      const key = `${written.partition} ${tokenText(grant.token)}`;
      const owner = owners.get(key);
      if (!owner) owners.set(key, { ...written, session });
      else if (owner.session !== session)
        yield {
          kind: 'mixed',
          session,
          what: `token ${tokenText(grant.token)} of partition ${written.partition} is also that of session ${owner.session}`,
          evidence: [writtenText(owner), writtenText(written)],
        };
    }
  }
}

/** Scopes of two processes that ended well were inside at the same time. */
function* usedTwice({ session, uses }: SessionHistory, clockErrorMs: number): Generator<Finding> {
  let inside: Use[] = [];
  for (const use of uses.toSorted((a, b) => a.from - b.from)) {
    inside = inside.filter(({ to }) => to > use.from);
    for (const other of inside) {
      const ms = Math.min(other.to, use.to) - use.from;
      const allowedMs = other.machine === use.machine ? 0 : clockErrorMs;
      if (other.process === use.process || ms <= allowedMs) continue;
      yield {
        kind: 'held twice',
        session,
        what: `${other.name} and ${use.name} were inside together for ${ms.toFixed(1)} ms, and both ended well`,
        evidence: [useText(other), useText(use)],
      };
    }
    inside.push(use);
  }
}

function* grantedTwice({ session, grants }: SessionHistory): Generator<Finding> {
  const owners = new Map<string, string>();
  for (const { token, process, at } of grants) {
    const key = tokenText(token);
    const owner = owners.get(key);
    owners.set(key, process);
    if (owner === undefined || owner === process) continue;
    yield {
      kind: 'held twice',
      session,
      what: `token ${key} was granted to ${owner} and to ${process}`,
      evidence: [`${process} was granted it at ${timeText(at)}`],
    };
  }
}

/** A scope ended well that had begun under an older token than one that had ended before. */
function* usedLate({ session, uses }: SessionHistory, clockErrorMs: number): Generator<Finding> {
  const byEnd = uses.toSorted((a, b) => a.to - b.to);
  const newest = new Map<string, Use>();
  let ended = 0;
  for (const use of uses.toSorted((a, b) => a.from - b.from)) {
    for (; byEnd[ended]!.to < use.from; ended++) {
      const one = byEnd[ended]!;
      const known = newest.get(one.machine);
      if (!known || compare(one.token, known.token) > 0) newest.set(one.machine, one);
    }
    for (const [machine, other] of newest) {
      const allowedMs = machine === use.machine ? 0 : clockErrorMs;
      if (compare(use.token, other.token) >= 0 || use.from - other.to <= allowedMs) continue;
      yield {
        kind: 'overtaken',
        session,
        what: `${use.name} began under token ${tokenText(use.token)} after ${other.name} had ended under ${tokenText(other.token)}`,
        evidence: [useText(other), useText(use)],
      };
    }
  }
}

/** Epochs follow one another, and in each the batches do: so the repository took the writes in this order. */
function* writtenLate({ session, writes }: SessionHistory): Generator<Finding> {
  let last: Written | undefined;
  for (const written of writes.toSorted((a, b) => a.epoch - b.epoch || a.batch - b.batch)) {
    const found = last && wrongBetween(last, written);
    if (found) yield { ...found, session, evidence: [writtenText(last!), writtenText(written)] };
    last = written;
  }
}

function wrongBetween(last: Written, next: Written): Pick<Finding, 'kind' | 'what'> | undefined {
  if (last.epoch === next.epoch && last.process !== next.process)
    return {
      kind: 'held twice',
      what: `${last.process} and ${next.process} both wrote in epoch ${next.epoch}`,
    };
  const [was, is] = [last.write.record?.version, next.write.record?.version];
  if (!was || !is) return undefined;
  const difference = compare([was[0], was[1]], [is[0], is[1]]) || was[2] - is[2];
  if (difference > 0)
    return { kind: 'overtaken', what: `version ${is.join('.')} was written over version ${was.join('.')}` };
  if (difference === 0 && next.write.set.length > 0)
    return { kind: 'doubled', what: `the change of version ${is.join('.')} was applied twice` };
  return undefined;
}

const useText = ({ name, token, from, to }: Use) =>
  `${name}, token ${tokenText(token)}, was inside from ${timeText(from)} to ${timeText(to)}`;

const writtenText = ({ process, partition, epoch, batch, at, write }: Written) =>
  `${process} wrote version ${write.record?.version.join('.') ?? 'none'} in epoch ${epoch}, partition ${partition}, batch ${batch}, at ${timeText(at)}`;
