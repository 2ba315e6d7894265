/** What is wrong with a history, in words, with the evidence for it. */

export const findingKinds = {
  lost: 'an acknowledged change was never seen by anybody who came after it',
  stale: 'a scope saw what had been replaced before it began',
  overtaken: 'something older took effect after something newer',
  doubled: 'a change was applied twice',
  'held twice': 'two processes had one lock at the same time',
  mixed: 'a session has what is not its own',
} as const;

export type FindingKind = keyof typeof findingKinds;

export interface Finding {
  readonly kind: FindingKind;
  readonly session: string;
  readonly what: string;
  readonly evidence: readonly string[];
}

/** A moment, for people. */
export const timeText = (ms: number): string =>
  Number.isFinite(ms) ? new Date(ms).toISOString().slice(11, 23) : 'never';

export const tokenText = ([epoch, n]: readonly [number, number]): string => `${epoch}.${n}`;
