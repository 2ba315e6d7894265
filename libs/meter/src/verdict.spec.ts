// The verdict by example: what is lost, what is the same, what came back, and what a snapshot keeps.
import { expect, it } from 'vitest';
import { judge, snapshot } from './verdict.js';

const of = (session: unknown) => snapshot(session, new Set(['cookie']));

it.each<[what: string, base: object | undefined, current: object | undefined, next: object, verdict: object]>(
  [
    ['another key was added', { a: 1 }, { a: 1, b: 1 }, { a: 2 }, { kind: 'lost', keys: ['b'] }],
    ['another value', { a: 1 }, { a: 2 }, { a: 3 }, { kind: 'lost', keys: ['a'] }],
    ['a save of everything, unchanged', { a: 1 }, { a: 2 }, { a: 1 }, { kind: 'lost', keys: ['a'] }],
    ['a deletion is undone', { a: 1 }, {}, { a: 1 }, { kind: 'lost', keys: ['a'] }],
    ['a deletion of what changed', { a: 1 }, { a: 2 }, {}, { kind: 'lost', keys: ['a'] }],
    ['two new sessions under one id', undefined, { a: 1 }, { b: 1 }, { kind: 'lost', keys: ['a'] }],
    ['two increments from one value', { n: 0 }, { n: 1 }, { n: 1 }, { kind: 'same', keys: ['n'] }],
    ['one deletion twice', { flash: 'x' }, {}, {}, { kind: 'same', keys: ['flash'] }],
    ['a change of what nobody else changed', { a: 1 }, { a: 1 }, { a: 2 }, { kind: 'clean', keys: [] }],
    ['the first save', undefined, undefined, { a: 1 }, { kind: 'clean', keys: [] }],
    ['a session that was destroyed', { a: 1 }, undefined, { a: 2 }, { kind: 'revived', keys: [] }],
    ['the cookie', { cookie: 1 }, { cookie: 2 }, { cookie: 3 }, { kind: 'clean', keys: [] }],
    [
      'the order of keys',
      { a: { x: 1, y: 2 } },
      { a: { y: 2, x: 1 } },
      { a: { x: 1, y: 2 } },
      { kind: 'clean', keys: [] },
    ],
  ],
)('%s', (_what, base, current, next, verdict) => {
  expect(judge({ base: base && of(base), current: current && of(current), next: of(next) })).toEqual(verdict);
});

it('a list is not the object with its keys', () => {
  expect(of({ a: ['x'] }).get('a')).not.toBe(of({ a: { 0: 'x' } }).get('a'));
  expect(of({ a: { entries: [['x', 1]] } }).get('a')).not.toBe(of({ a: { x: 1 } }).get('a'));
});

it('a value that is no session has no keys, and one that is no JSON throws', () => {
  expect([undefined, null, 'text', 5].map((value) => of(value).size)).toEqual([0, 0, 0, 0]);
  expect(() => of({ a: 1n })).toThrow(TypeError);
});
