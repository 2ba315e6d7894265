/** The checker of histories finds each planted fault: small histories, each with one thing wrong. */
import { describe, expect, it } from 'vitest';
import type { Token } from '#protocol';
import { judge } from './checker.js';
import type { History, Request, Task, Visit } from './history.js';

/**
 * One request and its visit, at second `at`, under the token [1, `grant`]. It saw `saw` in list `a`, and is
 * answered half a second later.
 */
interface Step {
  readonly id: string;
  readonly at: number;
  readonly grant: number;
  readonly saw: readonly string[];
  readonly task?: Task;
  readonly code?: string;
  /** Its seconds inside. */
  readonly inside?: number;
  readonly never?: 'entered' | 'answered';
}

function historyOf(steps: readonly Step[], a: readonly string[], b: readonly string[] = []): History {
  const requests = steps.map(({ id, at, task = 'append', code, inside = 0.1, never }): Request => {
    const end = never === 'answered' ? Infinity : at + inside + 0.4;
    const order = { id, session: 's', task, attribute: 'a', forMs: 0, server: 'one' } as const;
    return { ...order, begin: at, end, ...(code !== undefined && { code }) };
  });
  const visits = steps
    .filter(({ never }) => never !== 'entered')
    .map(({ id, at, grant, saw, task, inside = 0.1 }): Visit => {
      const token: Token = [1, grant];
      const locks = task === 'read' ? { write: [], read: ['a'] } : { write: ['a'], read: [] };
      return {
        id,
        session: 's',
        token,
        ...(locks as Pick<Visit, 'write' | 'read'>),
        saw: { a: saw },
        entered: at,
        left: at + inside,
      };
    });
  const byId = new Map(visits.map((visit) => [visit.id, visit]));
  return { seed: 0, requests, visits: byId, faults: [], left: new Map([['s', { a, b }]]) };
}

const first: Step = { id: 'first', at: 1, grant: 1, saw: [] };
const second: Step = { id: 'second', at: 2, grant: 2, saw: ['first'] };

it('accepts a correct history', () => {
  expect(judge(historyOf([first, second], ['first', 'second']))).toEqual([]);
  const broken = { ...second, code: 'connection-broke' };
  expect(judge(historyOf([first, broken], ['first', 'second']))).toEqual([]);
  expect(judge(historyOf([first, broken], ['first']))).toEqual([]);
  expect(judge(historyOf([first, { ...second, code: 'lock-lost' }], ['first']))).toEqual([]);
  // A paused holder is still inside while the next one is, and is refused.
  const paused = { ...first, inside: 5, code: 'lock-lost' };
  expect(judge(historyOf([paused, { ...second, saw: [] }], ['second']))).toEqual([]);
});

describe('finds', () => {
  it.each<[what: string, steps: readonly Step[], a: readonly string[], b: readonly string[], told: string]>([
    ['a lost change', [first, second], ['second'], [], 'the end does not see first, acknowledged before,'],
    ['a doubled change', [first, second], ['first', 'first', 'second'], [], 'the end sees a change twice'],
    ['a change of nobody', [first], ['first', 'ghost'], [], 'the end sees ghost, which nobody made,'],
    [
      'a change that was refused',
      [{ ...first, code: 'wait-timeout' }],
      ['first'],
      [],
      'the end sees first, which was refused,',
    ],
    [
      'a change by a scope that never entered',
      [{ ...first, code: 'connection-broke', never: 'entered' }],
      ['first'],
      [],
      'the end sees first, which was refused,',
    ],
    [
      'a stale read',
      [first, { ...second, saw: [] }],
      ['first', 'second'],
      [],
      'second does not see first, acknowledged before,',
    ],
    [
      'a stale write',
      [
        { ...first, code: 'outcome-unknown' },
        { ...second, saw: [] },
      ],
      ['second', 'first'],
      [],
      'a stale write: first, of token 1.1, came after second, of 1.2,',
    ],
    [
      'a view of a later change',
      [{ ...first, saw: ['second'] }, second],
      ['first', 'second'],
      [],
      'first, of token 1.1, sees second, of 1.2,',
    ],
    [
      'changes in another order than their grants',
      [first, second],
      ['second', 'first'],
      [],
      'first, of token 1.1, stands behind one of 1.2',
    ],
    [
      'half of a change',
      [{ ...first, task: 'both' }],
      ['first'],
      [],
      'first changed one attribute of s, not both',
    ],
    [
      'two at one attribute',
      [
        { ...first, inside: 5 },
        { ...second, grant: 1, saw: [] },
      ],
      ['first', 'second'],
      [],
      "second and first are both at 'a' of s",
    ],
    [
      'two holders at once',
      [
        { ...first, inside: 5 },
        { ...second, saw: [] },
      ],
      ['first', 'second'],
      [],
      'second, of token 1.2, came into s while first, of 1.1, was inside',
    ],
    [
      'a token that goes back',
      [{ ...first, grant: 3 }, second],
      ['first', 'second'],
      [],
      'second enters s under 1.2, after first under 1.3',
    ],
    [
      'a request without an answer',
      [{ ...first, never: 'answered' }],
      ['first'],
      [],
      'first (append in s) was never answered',
    ],
    [
      'an error that nobody should see',
      [{ ...first, code: 'TypeError' }],
      [],
      [],
      'first (append in s) was answered an error that nobody should see: TypeError',
    ],
  ])('%s', (_what, steps, a, b, told) => {
    expect(judge(historyOf(steps, a, b)).some((violation) => violation.startsWith(told))).toBe(true);
  });
});
