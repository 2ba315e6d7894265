/** Tables, plots and missed targets, from figures that are made up. */
import { describe, expect, it } from 'vitest';
import type { Case } from './cases.js';
import type { Measured } from './figures.js';
import { plot } from './plot.js';
import type { BenchResult } from './result.js';
import { rows } from './rows.js';
import { tables } from './tables.js';
import { missedTargets, type Rounds } from './targets.js';
import { listenersIn } from './usage.js';

const measured = (rate: number, p50 = 1, more: Partial<Measured> = {}): Measured => ({
  rate,
  p50,
  p95: 2 * p50,
  p99: 3 * p50,
  ownerChanges: 0,
  lost: 0,
  ...more,
});
const none = () => undefined;
const base: Case = {
  name: 'here',
  load: { operation: 'change', atOnce: 1, sessions: 1, members: 1 },
  contestants: ['locked-session', 'limit', 'redlock', 'redis'],
  metric: 'rate',
};

describe('missedTargets', () => {
  const rounds: Rounds = {
    'locked-session': [measured(100, 4), measured(100, 4)],
    limit: [measured(200, 1), measured(200, 1)],
    redlock: [measured(10), measured(10)],
    redis: [measured(30), measured(30)],
  };
  const missed = (targets: Case['targets'], of = rounds) =>
    missedTargets({ ...base, ...(targets && { targets }) }, of, (name) =>
      name === 'there' ? rounds : undefined,
    );

  it('compares with another contestant, round by round', () => {
    expect(missed([{ against: 'limit', atLeast: 0.5 }])).toEqual([]);
    expect(missed([{ against: 'limit', atLeast: 0.6 }])).toEqual([
      'target missed: 0.50 × limit by rate, to be at least 0.6 ×',
    ]);
    expect(missed([{ metric: 'p50', against: 'limit', atMost: 2 }])).toEqual([
      'target missed: 4.00 × limit by p50, to be at most 2 ×',
    ]);
  });

  it('compares with the best of several', () => {
    expect(missed([{ against: ['redlock', 'redis'], atLeast: 5 }])).toEqual([
      'target missed: 3.33 × redis by rate, to be at least 5 ×',
    ]);
  });

  it('compares with another case of the row, if that has run, and with a figure', () => {
    expect(missed([{ inCase: 'there', atLeast: 1 }])).toEqual([]);
    expect(missed([{ inCase: 'there', atLeast: 1.1 }])).toHaveLength(1);
    expect(missed([{ inCase: 'nowhere', atLeast: 1.1 }])).toEqual([]);
    expect(missed([{ metric: 'p50', atMost: 3 }])).toEqual([
      'target missed: 4.00 locked-session by p50, to be at most 3',
    ]);
  });

  it('a lost change misses a target in every case', () => {
    const lossy = { 'locked-session': [measured(1), measured(1, 1, { lost: 2 })] };
    expect(missed([], lossy)).toEqual(['target missed: 2 acknowledged changes lost, to be 0']);
    expect(missedTargets(base, {}, none)).toEqual([]);
  });
});

describe('tables', () => {
  const result = (node: string): BenchResult => ({
    node,
    machine: '2 cores',
    servers: { amqp: 'RabbitMQ 3.10.8, a private one' },
    seconds: 2,
    cases: [
      ...rows['held-write'].cases.map(({ name }) => ({
        row: 'held-write' as const,
        case: name,
        rounds: { 'locked-session': [measured(50, 2)], limit: [measured(100, 1)] },
      })),
      ...rows.growth.cases.map(({ name, on }) => ({
        row: 'growth' as const,
        case: name,
        rounds: { 'locked-session': [measured(10, on!.x, { memory: { app: 1, store: on!.x } })] },
      })),
    ],
  });

  it('have each row that ran, the contestants, missed targets, curves with their law, and other versions', () => {
    const { text, drawings } = tables([result('v20.20.2'), result('v24.9.0')]);
    expect(text).toContain('Node v20.20.2, 2 cores.\nRabbitMQ 3.10.8, a private one.');
    expect(text).toMatch(/\| `limit` \| the bare pipeline \| a killed store/);
    expect(text).toContain('`held-write`, one session: 2.00 × limit by p50, to be at most 1.3 ×.');
    expect(text).toMatch(/\| {2}\| `limit` \| 100 \(100–100\) \| 1\.00 ms .* 2\.00 × \(2\.00–2\.00\) \|/);
    expect(text).toMatch(/\| `locked-session`, p50 \|.*\| 1\.00 \|\n\| memory of the store/);
    expect(text).toContain('| row | case | v20.20.2 | v24.9.0 |');
    expect(text).not.toContain('`mixed`');
    expect([...drawings.keys()]).toContain('growth-app-servers.svg');
  });
});

describe('plot', () => {
  it('draws each curve on logarithmic axes, and keeps names apart', () => {
    const points = [1, 10, 100].map((x) => ({ x, y: 2 * x, min: x, max: 3 * x }));
    const svg = plot(
      [
        { name: 'a < b', points },
        { name: 'other', points },
      ],
      { title: 'title', xLabel: 'x', yLabel: 'y' },
    );
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg).toContain('a &lt; b');
    const heights = [...svg.matchAll(/x="570.0" y="([\d.]+)"/g)].map(([, y]) => Number(y));
    expect(heights[1]! - heights[0]!).toBeGreaterThanOrEqual(16);
  });
});

it('finds the sockets that listen on a port', () => {
  const table = [
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
    '   0: 0100007F:1628 00000000:0000 0A 00000000:00000000 00:00000000 00000000   102        0 4711 1',
    '   1: 0100007F:1628 0100007F:A000 01 00000000:00000000 00:00000000 00000000   102        0 4712 1',
  ].join('\n');
  expect(listenersIn(table, 5_672)).toEqual(['4711']);
});
