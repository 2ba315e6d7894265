/**
 * Which faults happened and which decisions were asked for in a long run, and how they were answered. A
 * decision that no seed asks for, or that always gives the same answer, was not exercised.
 */
import { holderRules, storeRules } from '#protocol';
import type { Variant } from './world/deployment.js';

/** How often each answer was given: `true`, `false`, a word, or `number` and `object` for all of those. */
type Answers = Record<string, number>;

export interface Coverage {
  readonly faults: Record<string, number>;
  /** By side and name of the decision, all of them. */
  readonly decisions: Record<string, Answers>;
}

type Decision = (...given: readonly unknown[]) => unknown;

export function emptyCoverage(): Coverage {
  const names = [
    ...Object.keys(storeRules).map((name) => `store.${name}`),
    ...Object.keys(holderRules).map((name) => `holder.${name}`),
  ];
  return { faults: {}, decisions: Object.fromEntries(names.map((name) => [name, {}])) };
}

/** The rules as they are, counted in `coverage`. */
export function counted({ decisions }: Coverage): Variant {
  const count = <Rules extends object>(side: string, rules: Rules): Rules =>
    Object.fromEntries(
      (Object.entries(rules) as [string, Decision][]).map(([name, decide]) => {
        const answers = (decisions[`${side}.${name}`] ??= {});
        const decideAndCount: Decision = (...given) => {
          const answer = decide(...given);
          const kind = kindOf(answer);
          answers[kind] = (answers[kind] ?? 0) + 1;
          return answer;
        };
        return [name, decideAndCount];
      }),
    ) as Rules;
  return { store: count('store', storeRules), holder: count('holder', holderRules) };
}

/** Decisions that were never asked for, and those that had one answer of two or more. */
export function unexercised({ decisions }: Coverage): string[] {
  return Object.entries(decisions).flatMap(([name, answers]) => {
    const kinds = Object.keys(answers);
    if (kinds.length === 0) return [`${name}: never asked for`];
    const [only] = kinds;
    return kinds.length === 1 && (only === 'true' || only === 'false') ? [`${name}: always ${only}`] : [];
  });
}

function kindOf(answer: unknown): string {
  if (typeof answer === 'boolean' || typeof answer === 'string' || answer === undefined)
    return String(answer);
  return typeof answer;
}
