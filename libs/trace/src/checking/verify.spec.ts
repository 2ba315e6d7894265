// The checker on histories that are made by hand: each of them has one thing wrong, and none of them has a
// wrong token where the fault is in the values.
import { describe, expect, it } from 'vitest';
import { madeHolder, madeStore, type MadeTrace } from '../testing/made-traces.js';
import type { FindingKind } from './finding.js';
import { verifyTraces, type VerifyOptions } from './verify.js';

const verdictOf = (traces: readonly MadeTrace[], options?: VerifyOptions) =>
  verifyTraces(
    traces.map(({ trace }) => trace),
    options,
  );

/** Process one makes x = 1 under token 1.1; it is durable at 20. */
const one = () =>
  madeHolder('one')
    .granted(0, 5, [1, 1], {})
    .scope({ token: [1, 1], from: 5, to: 10, answered: 20, reads: { x: null }, makes: { x: '1' }, seq: 1 });

/** Process two is granted the session with this state, and reads x. */
const two = (x: string | null, { asked = 30, token = [1, 2] as readonly [number, number], head = {} } = {}) =>
  madeHolder('two', head)
    .granted(asked, 40, token, x === null ? {} : { x })
    .scope({ token, from: 40, to: 50, reads: { x } });

describe('nothing is wrong', () => {
  it.each<[what: string, traces: MadeTrace[]]>([
    ['with no traces', []],
    ['when two sees what one made', [madeStore(), one(), two('1')]],
    ['when what one made is seen before one is told', [madeStore(), one(), two('1', { asked: 12 })]],
    [
      'when traces begin later than the session',
      [
        madeStore(),
        madeHolder('one')
          .granted(0, 5, [1, 1], { x: 'old', y: 'old' })
          .scope({ token: [1, 1], from: 5, to: 10, reads: { x: 'old' } }),
      ],
    ],
    [
      'when two scopes of one process are inside together',
      [
        madeStore(),
        madeHolder('one')
          .granted(0, 5, [1, 1], {})
          .scope({ token: [1, 1], from: 5, to: 30, reads: { x: null }, makes: { x: '1' }, seq: 2 })
          .scope({ token: [1, 1], from: 6, to: 25, reads: { y: null }, makes: { y: '1' }, seq: 1 }),
      ],
    ],
    [
      'when a scope that lost its lock read what never became durable',
      [
        madeStore(),
        madeHolder('one')
          .granted(0, 5, [1, 1], {})
          .scope({ token: [1, 1], from: 5, to: 6, makes: { x: '1' }, seq: 1, outcome: 'lost' })
          .scope({ token: [1, 1], from: 7, to: 8, reads: { x: '1' }, seq: 1, outcome: 'lost' }),
        two(null),
      ],
    ],
    ['when a session has expired', [madeStore().wrote(25, [1, 1], null), one(), two(null)]],
    [
      'when a session is made anew with a grant, and the removal was not seen',
      [madeStore().wrote(35, [1, 1], [1, 2, 0]), one(), two(null)],
    ],
    [
      'when it was destroyed',
      [
        madeStore(),
        one()
          .add(25, { kind: 'destroyed', session: 's', token: [1, 1], seq: 2 })
          .add(27, { kind: 'acknowledged', session: 's', token: [1, 1], seq: 2 }),
        two(null),
      ],
    ],
  ])('%s', (_what, traces) => {
    const { verdict, findings, notKnown } = verdictOf(traces);
    expect({ verdict, findings, notKnown }).toEqual({ verdict: 'ok', findings: [], notKnown: [] });
  });

  it.each([null, '1'])('when a killed process has made something, and the next one sees %s', (x) => {
    const killed = madeHolder('one', { state: 'open' })
      .granted(0, 5, [1, 1], {})
      .scope({ token: [1, 1], from: 5, to: 10, makes: { x: '1' }, seq: 1, outcome: 'none' });
    expect(verdictOf([madeStore(), killed, two(x)]).verdict).toBe('ok');
  });

  it.each([null, '1'])('when the outcome is unknown, and the next one sees %s', (x) => {
    const unsure = madeHolder('one')
      .granted(0, 5, [1, 1], {})
      .scope({ token: [1, 1], from: 5, to: 10, makes: { x: '1' }, seq: 1, outcome: 'unknown' });
    expect(verdictOf([madeStore(), unsure, two(x)]).verdict).toBe('ok');
  });

  it('when write-back gave a result, others of the process saw it, and it was lost with the process', () => {
    const killed = madeHolder('one', { state: 'open' })
      .granted(0, 5, [1, 1], {})
      .scope({ token: [1, 1], from: 5, to: 10, makes: { x: '1' }, seq: 1, durable: false })
      .scope({ token: [1, 1], from: 11, to: 12, reads: { x: '1' }, seq: 1, durable: false });
    expect(verdictOf([madeStore(), killed, two(null)]).verdict).toBe('ok');
  });
});

describe('finds', () => {
  it.each<[what: string, kind: FindingKind, told: string, traces: MadeTrace[]]>([
    [
      'a lost change, by the next grant alone',
      'lost',
      "the grant 1.2 to two saw 'x' as nothing, but scope 1 of one had made it 1",
      [madeStore(), one(), madeHolder('two').granted(30, 40, [1, 2], {})],
    ],
    [
      'an update that was lost between two that saw the same',
      'lost',
      "scope 2 of one saw 'x' as nothing, but scope 1 of one had made it 1",
      [
        madeStore(),
        one().scope({ token: [1, 1], from: 6, to: 12, reads: { x: null }, makes: { x: '2' }, seq: 2 }),
      ],
    ],
    [
      'a change that write-back had acknowledged, and that is gone',
      'lost',
      "the grant 1.2 to two saw 'x' as nothing, but scope 1 of one had made it 1",
      [
        madeStore(),
        madeHolder('one', { state: 'open' })
          .granted(0, 5, [1, 1], {})
          .scope({ token: [1, 1], from: 5, to: 10, makes: { x: '1' }, seq: 1, durable: false })
          .add(20, { kind: 'acknowledged', session: 's', token: [1, 1], seq: 1 }),
        two(null),
      ],
    ],
    [
      'a stale read with perfect tokens',
      'stale',
      "scope 1 of two saw 'x' as 1, but scope 1 of three had made it 2",
      [
        madeStore(),
        one(),
        madeHolder('three')
          .granted(21, 22, [1, 2], { x: '1' })
          .scope({ token: [1, 2], from: 22, to: 25, reads: { x: '1' }, makes: { x: '2' }, seq: 1 }),
        madeHolder('two')
          .granted(30, 40, [1, 3], { x: '2' })
          .scope({ token: [1, 3], from: 40, to: 50, reads: { x: '1' } })
          .scope({ token: [1, 3], from: 51, to: 52, reads: { x: '2' } }),
      ],
    ],
    [
      'half of a change that is one',
      'lost',
      "scope 1 of two saw 'y' as nothing, but scope 1 of one had made it 1",
      [
        madeStore(),
        madeHolder('one')
          .granted(0, 5, [1, 1], {})
          .scope({ token: [1, 1], from: 5, to: 10, makes: { x: '1', y: '1' }, seq: 1 }),
        madeHolder('two').scope({ token: [1, 2], from: 40, to: 50, reads: { x: '1', y: null } }),
      ],
    ],
    [
      'an older change that comes back',
      'overtaken',
      "the grant 1.4 to four saw 'x' as 1, but scope 1 of three had made it 2",
      [
        madeStore(),
        one(),
        madeHolder('three')
          .granted(21, 22, [1, 2], { x: '1' })
          .scope({ token: [1, 2], from: 22, to: 25, makes: { x: '2' }, seq: 1 }),
        two('2', { token: [1, 3], asked: 26 }),
        madeHolder('four').granted(60, 61, [1, 4], { x: '1' }),
      ],
    ],
    [
      'a scope under an older token than one that has ended',
      'overtaken',
      'scope 1 of two began under token 1.1 after scope 1 of one had ended under 1.3',
      [
        madeStore(),
        madeHolder('one').scope({ token: [1, 3], from: 5, to: 10 }),
        madeHolder('two').scope({ token: [1, 1], from: 11, to: 12 }),
      ],
    ],
    [
      'a write of the store that is older than what it replaced',
      'overtaken',
      'version 1.1.2 was written over version 1.2.1',
      [
        madeStore().wrote(1, [1, 1], [1, 1, 1]).wrote(2, [1, 2], [1, 2, 1]).wrote(3, [1, 3], [1, 1, 2]),
        madeHolder('one'),
      ],
    ],
    [
      'a change that was applied twice',
      'doubled',
      'the change of version 1.1.1 was applied twice',
      [
        madeStore().wrote(6, [1, 1], [1, 1, 0]).wrote(10, [1, 2], [1, 1, 1], { x: '1' }),
        madeStore('other', 2).wrote(30, [2, 1], [1, 1, 1], { x: '1' }),
        one(),
      ],
    ],
    [
      'a change of a scope that was refused',
      'mixed',
      "the grant 1.2 to two saw 'x' as 1, but there was nothing",
      [
        madeStore(),
        madeHolder('one')
          .granted(0, 5, [1, 1], {})
          .scope({ token: [1, 1], from: 5, to: 10, makes: { x: '1' }, seq: 1, outcome: 'lost' }),
        two('1'),
      ],
    ],
    [
      'two inside at the same time',
      'held twice',
      'scope 1 of one and scope 1 of two were inside together for 6.0 ms, and both ended well',
      [
        madeStore(),
        madeHolder('one').scope({ token: [1, 1], from: 5, to: 20 }),
        madeHolder('two').scope({ token: [1, 2], from: 14, to: 25 }),
      ],
    ],
    [
      'one token for two',
      'held twice',
      'token 1.1 was granted to one and to two',
      [madeStore(), one(), madeHolder('two').granted(30, 40, [1, 1], { x: '1' })],
    ],
    [
      'two stores in one epoch',
      'held twice',
      'store and other both wrote in epoch 1',
      [
        madeStore().wrote(5, [1, 1], [1, 1, 0]),
        madeStore('other').wrote(6, [1, 2], [1, 1, 1]),
        madeHolder('one'),
      ],
    ],
    [
      'a value of another session',
      'mixed',
      "the grant 1.2 to two saw 'x' as of another, but scope 1 of one had made it 1",
      [madeStore(), one(), two('of another')],
    ],
    [
      'one token for two sessions',
      'mixed',
      'token 1.1 of partition 0 is also that of session s',
      [
        madeStore()
          .wrote(5, [1, 1], [1, 1, 0])
          .add(6, {
            kind: 'write',
            partition: 0,
            epoch: 1,
            batch: 2,
            session: 't',
            record: {
              version: [1, 1, 0],
              grant: { token: [1, 1], holder: 'one', seq: 0, revoked: false },
              destroyed: false,
            },
            set: [],
          })
          .add(6, { kind: 'written', partition: 0, epoch: 1, batch: 2 }),
        madeHolder('one'),
      ],
    ],
  ])('%s', (_what, kind, told, traces) => {
    const { verdict, findings } = verdictOf(traces);
    expect(findings.map(({ kind, what }) => ({ kind, what }))).toEqual([
      { kind, what: expect.stringContaining(told) as string },
    ]);
    expect(verdict).toBe('violation');
  });

  it('that a committed part of a scope and its rest belong together', () => {
    const committing = madeHolder('one')
      .granted(0, 5, [1, 1], {})
      .add(8, {
        kind: 'changed',
        session: 's',
        token: [1, 1],
        scope: 1,
        began: 5,
        seq: 1,
        read: [['x', null]],
        made: [['x', '1']],
      })
      .add(9, { kind: 'acknowledged', session: 's', token: [1, 1], seq: 1 })
      .scope({ token: [1, 1], from: 5, to: 20, makes: { y: '1' }, seq: 3 });
    const between = madeHolder('two').scope({
      token: [1, 2],
      from: 10,
      to: 12,
      reads: { x: '1', y: null },
      makes: { x: '2' },
      seq: 1,
    });
    expect(verdictOf([madeStore(), committing]).verdict).toBe('ok');
    expect(verdictOf([madeStore(), committing, between]).findings.map(({ kind }) => kind)).toContain('lost');
  });
});

describe('does not know', () => {
  it.each<[what: string, why: string, traces: MadeTrace[]]>([
    [
      'when a trace was cut before what looks wrong',
      'the trace of holder one was cut: the disk is full',
      [
        madeStore(),
        madeHolder('one', { state: 'cut' })
          .granted(0, 5, [1, 1], {})
          .add(8, { kind: 'cut', why: 'the disk is full' }),
        two('1'),
      ],
    ],
    [
      'when the trace of a holder is missing',
      'there is no trace of holder one',
      [madeStore().wrote(5, [1, 1], [1, 1, 1]), two('1')],
    ],
    [
      'when the trace of a store is missing',
      'there is no trace of the store that granted in epoch 1',
      [one(), two(null)],
    ],
    [
      'when keys differ',
      'the traces were written with different keys, so their values cannot be compared',
      [madeStore(), one(), two('2', { head: { key: 'another' } })],
    ],
    [
      'when the search is too long',
      'session s: the search was given up after 1 states',
      [madeStore(), one(), two('1')],
    ],
  ])('%s', (what, why, traces) => {
    const { verdict, findings, notKnown } = verdictOf(
      traces,
      what.includes('too long') ? { maxStates: 1 } : {},
    );
    expect({ verdict, findings, notKnown }).toEqual({ verdict: 'not-known', findings: [], notKnown: [why] });
  });

  it('but a violation before the cut is certain', () => {
    const cut = madeHolder('late', { state: 'cut' }).add(100, { kind: 'cut', why: 'maxBytes is reached' });
    expect(verdictOf([madeStore(), one(), two(null), cut]).verdict).toBe('violation');
  });
});

describe('clocks', () => {
  it('of two machines are compared only as exactly as they agree', () => {
    const traces = [madeStore(), one(), two(null, { head: { machine: 'other' } })];
    expect(verdictOf(traces, { clockErrorMs: 15 }).verdict).toBe('violation');
    expect(verdictOf(traces, { clockErrorMs: 40 }).verdict).toBe('ok');
  });

  it('of one machine are exact, whatever may be between machines', () => {
    expect(verdictOf([madeStore(), one(), two(null)], { clockErrorMs: 1_000 }).verdict).toBe('violation');
  });

  it('allow two machines to have been inside together for as long as they differ', () => {
    const traces = [
      madeStore(),
      madeHolder('one').scope({ token: [1, 1], from: 5, to: 20 }),
      madeHolder('two', { machine: 'other' }).scope({ token: [1, 2], from: 14, to: 25 }),
    ];
    expect(verdictOf(traces, { clockErrorMs: 5 }).verdict).toBe('violation');
    expect(verdictOf(traces, { clockErrorMs: 10 }).verdict).toBe('ok');
  });
});

it('tells how long what waited', () => {
  const traces = [
    madeStore(),
    one()
      .add(25, { kind: 'recalled', session: 's', token: [1, 1] })
      .add(28, { kind: 'released', session: 's', token: [1, 1], seq: 1 }),
    two('1')
      .add(60, { kind: 'asked', session: 't' })
      .add(90, { kind: 'not-granted', session: 't', why: 'destroyed' }),
  ];
  const waits = verdictOf(traces).waits.map(({ what, count, unserved, longest }) => [
    what,
    count,
    unserved,
    longest.ms,
  ]);
  expect(waits).toEqual([
    ['scope', 2, 0, 0],
    ['grant', 3, 1, 30],
    ['release', 1, 0, 3],
  ]);
});
