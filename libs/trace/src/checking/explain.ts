/**
 * Says what is wrong with a history that no order explains: which operation read what it should not have, who
 * wrote that, and what was there instead.
 */
import { timeText, tokenText, type Finding, type FindingKind } from './finding.js';
import type { Impossible } from './linearize.js';
import { mismatches, valueIn, type Operation, type Value } from './operation.js';

/** Operations of the order that are shown as evidence, at most: the last ones. */
const shownOperations = 4;

export function explain(
  session: string,
  { order, state, stuck }: Impossible,
  all: readonly Operation[],
): Finding {
  const left = all.filter((operation) => !order.includes(operation));
  const wrongIn = (operation: Operation) => {
    const names = mismatches(state, operation);
    return names.find(
      (name) => !left.some((one) => one !== operation && wrote(one, name, sawOf(operation, name))),
    );
  };
  // What an operation that is left may still make is not wrong yet.
  const victim = stuck.find((operation) => wrongIn(operation) !== undefined) ?? stuck[0];
  if (!victim) return unexplained(session, order);
  const others = stuck.filter((operation) => operation !== victim);
  const name = wrongIn(victim) ?? mismatches(state, victim)[0]!;
  const saw = sawOf(victim, name);
  const is = valueIn(state, name) ?? null;
  const writers = all.filter((operation) => wrote(operation, name, saw));
  const replacer = order.findLast((operation) => wrote(operation, name, is));
  const kind = kindOf({ victim, name, saw }, writers, replacer, all);
  return {
    kind,
    session,
    what: `${victim.name} saw ${shown(name, saw)}${replacer ? `, but ${replacer.name} had made it ${valueText(is)}` : `, but there was ${valueText(is)}`}`,
    evidence: [
      `${operationText(victim)} saw ${shown(name, saw)}`,
      ...writers.slice(-shownOperations).map((writer) => `${operationText(writer)} made it so`),
      ...(writers.length === 0 && saw !== null ? ['nobody made it so'] : []),
      ...(replacer ? [`${operationText(replacer)} made it ${valueText(is)}`] : []),
      ...others.slice(0, shownOperations).map((other) => `${operationText(other)} fits no better`),
      `${order.length} of ${all.length} operations have an order without it`,
    ],
  };
}

/** Who read what it should not have, and what that was. */
interface WrongRead {
  readonly victim: Operation;
  readonly name: string;
  readonly saw: Value;
}

function kindOf(
  { victim, name, saw }: WrongRead,
  writers: readonly Operation[],
  replacer: Operation | undefined,
  all: readonly Operation[],
): FindingKind {
  if (saw !== null && writers.length === 0) return 'mixed';
  if (!replacer) return 'stale';
  const made = replacer.writes.get(name) ?? null;
  const seenBy = all.filter((one) => one.reads.get(name) === made && one.process !== replacer.process);
  if (seenBy.some(({ begin }) => begin > victim.begin)) return 'stale';
  const seenBefore = all.some(
    (one) => one !== replacer && one.reads.get(name) === made && one.end <= victim.begin,
  );
  return seenBefore ? 'overtaken' : 'lost';
}

function unexplained(session: string, order: readonly Operation[]): Finding {
  return {
    kind: 'stale',
    session,
    what: 'no order of its operations explains what they saw',
    evidence: order.slice(-shownOperations).map(operationText),
  };
}

function wrote({ writes, clears }: Operation, name: string, value: Value): boolean {
  return writes.has(name) ? writes.get(name) === value : clears && value === null;
}

const sawOf = ({ reads }: Operation, name: string): Value => reads.get(name) ?? null;
const valueText = (value: Value) => (value === null ? 'nothing' : value);
const shown = (name: string, value: Value) => `'${name}' as ${valueText(value)}`;

function operationText({ name, begin, end, token }: Operation): string {
  const under = token ? `, token ${tokenText(token)},` : '';
  return `${name}${under} from ${timeText(begin)} to ${timeText(end)}`;
}
