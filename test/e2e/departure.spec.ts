/**
 * An app server with very many sessions ends in its time, loses nothing, and delays no other one. HELD=200000
 * measures the figure in docs/GUARANTEES.md.
 */
import { NestFactory } from '@nestjs/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LockedSessionModule, LockedSessions } from '#locked-session';
import { busyMs } from '../fault/figures.js';
import { Deployment } from './deployment.js';

const held = Number(process.env.HELD ?? 20_000);
const closeMs = 500;
const atOnce = 256;

interface Loose {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
}

let deployment: Deployment;
beforeAll(async () => {
  deployment = await Deployment.create({ partitions: 16 });
  await deployment.store();
});
afterAll(() => deployment.stop());

async function appServer() {
  const module = LockedSessionModule.forRoot({
    resolve: () => 'nobody',
    broker: { url: deployment.brokerUrl, prefix: deployment.prefix },
    partitions: deployment.partitions,
    heldSessions: 1_000_000,
    writePolicy: 'write-back',
    writeBackMs: 60_000,
    waitMs: 60_000,
    closeMs,
  });
  const app = await NestFactory.createApplicationContext(module, { logger: ['warn', 'error'] });
  return { app, sessions: app.get(LockedSessions) };
}

const idOf = (i: number) => `visitor-${i}`;

async function each(count: number, task: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

it(
  `an app server with ${held} sessions ends within closeMs and a second, keeps all changes, and frees each session at once`,
  { timeout: 600_000 },
  async () => {
    const one = await appServer();
    await each(held, (i) => one.sessions.run(idOf(i), {}, () => {}));
    const changed = Array.from({ length: 200 }, (_, i) => Math.floor((i * held) / 200));
    for (const i of changed)
      await one.sessions.run(idOf(i), {}, (session) => (session as unknown as Loose).set('a', i));
    expect(one.sessions.counters()).toMatchObject({ held });

    const before = performance.now();
    await one.app.close();
    const ms = performance.now() - before;
    const { releases } = one.sessions.counters();

    const two = await appServer();
    await two.sessions.run('first', {}, () => {}); // the store has read all earlier frames
    const since = performance.now();
    const found: unknown[] = [];
    for (const i of changed)
      found.push(await two.sessions.run(idOf(i), {}, (session) => (session as unknown as Loose).get('a')));
    const grantMs = (performance.now() - since) / changed.length;
    await two.app.close();
    console.log(
      `  ${held} held sessions: closed in ${Math.round(ms)} ms (closeMs ${closeMs}), ${releases} released one by one, ` +
        `the others by leaving; then ${grantMs.toFixed(1)} ms for a grant`,
    );
    expect(found).toEqual(changed);
    expect(ms).toBeLessThan(closeMs + 1_000 + busyMs);
    expect(grantMs).toBeLessThan(100);
  },
);
