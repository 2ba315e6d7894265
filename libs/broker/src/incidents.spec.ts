/** Incidents in the log, on a clock of the test's own: one line when one begins, and one when it is over. */
import { beforeEach, expect, it } from 'vitest';
import type { Clock } from './clock.js';
import { IncidentLog } from './incidents.js';

let time: number;
let timers: { at: number; task: () => void }[];
let lines: string[];
let incidents: IncidentLog;

const clock: Clock = {
  now: () => ({ mono: time, wall: time }),
  keepAlive: () => () => {},
  soon: (task) => task(),
  afterPromises: (task) => task(),
  after(delayMs, task) {
    const timer = { at: time + delayMs, task };
    timers.push(timer);
    return () => (timers = timers.filter((one) => one !== timer));
  },
};

const pass = (ms: number) => {
  const end = time + ms;
  for (;;) {
    const [next] = timers.toSorted((a, b) => a.at - b.at);
    if (!next || next.at > end) break;
    timers = timers.filter((one) => one !== next);
    time = next.at;
    next.task();
  }
  time = end;
};

beforeEach(() => {
  time = 0;
  timers = [];
  lines = [];
  incidents = new IncidentLog(clock, {
    failed: (names, count, reason) => lines.push(`${count} failed (${names}): ${reason}`),
    over: (names, count, left, seconds) => lines.push(`${count} well (${names}), ${left} left, ${seconds} s`),
  });
});

const all = Array.from({ length: 16 }, (_, n) => `p${n}`);

it('what fails together is one line, and another when it is well again', () => {
  for (const name of all) incidents.failed(name, 'disk full');
  pass(100);
  for (const name of all) incidents.failed(name, 'disk full');
  pass(2_900);
  for (const name of all) incidents.over(name);
  pass(100);
  expect(lines).toEqual([
    '16 failed (p0, p1, p2 and 13 more): disk full',
    '16 well (p0, p1, p2 and 13 more), 0 left, 3.1 s',
  ]);
});

it('while it lasts there is a line every 10 s, however often it is tried', () => {
  for (let n = 0; n < 300; n++, pass(100)) incidents.failed('p0', 'disk full');
  expect(lines).toEqual(Array(3).fill('1 failed (p0): disk full'));
});

it('those that are well again before the others are told at once', () => {
  incidents.failed('p0', 'one');
  incidents.failed('p1', 'two');
  pass(1_000);
  incidents.over('p1');
  pass(100);
  expect(lines).toEqual(['2 failed (p0, p1): one; others for other reasons', '1 well (p1), 1 left, 1.1 s']);
});

it('what comes and goes again and again does not fill the log', () => {
  for (let n = 0; n < 100; n++) {
    incidents.failed('p0', 'flapping');
    pass(50);
    incidents.over('p0');
    pass(200);
  }
  expect(lines.length).toBeLessThanOrEqual(2 * 3);
  pass(10_000);
  expect(lines.at(-1)).toMatch(/^1 well/);
});

it('says nothing of what was never wrong, nor after its end', () => {
  incidents.over('p0');
  incidents.failed('p1', 'closing');
  incidents.close();
  pass(60_000);
  expect(lines).toEqual([]);
});
