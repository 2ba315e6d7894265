/**
 * `npm run bench -- memory [--sessions 50000,100000,200000] [--cache 256]`: the memory of the store's process
 * after so many new sessions of 0.7 KB, over LevelDB. Each number has a store of its own, once with sessions
 * that stay held, and once with sessions that are released. It tells the most memory that the process had
 * until 30 seconds after the last session, beside what the setting allows.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { lockedSession } from './contestants/locked-session.js';
import type { Services } from './services.js';
import { peakMb } from './usage.js';

export interface MemoryPlan {
  readonly sessions: readonly number[];
  readonly cacheMib: number;
  /** How long the store is watched after the last session, in milliseconds. */
  readonly watchMs: number;
}

/** Four attributes of this make 0.7 KB. */
const valueBytes = 130;
const atOnce = 256;
const mbPerMib = 1.048576;

/** What a store may take (docs/OPERATING.md). */
const allowedMb = (cacheMib: number): number => (2 * cacheMib + 150) * mbPerMib;

export async function measureMemory(
  { sessions, cacheMib, watchMs }: MemoryPlan,
  services: Services,
  tell: (line: string) => void,
): Promise<void> {
  await services.start('amqp');
  const allowed = allowedMb(cacheMib);
  tell(`memory: of the store's process, STORE_CACHE_MIB=${cacheMib}, at most ${allowed.toFixed(0)} MB`);
  tell('| sessions | held, MB | released, MB | created a second |');
  tell('|---|---|---|---|');
  for (const count of sessions) {
    const held = await fill(count, false, { cacheMib, watchMs }, services);
    const released = await fill(count, true, { cacheMib, watchMs }, services);
    const [heldMb, releasedMb] = [held.peakMb.toFixed(0), released.peakMb.toFixed(0)];
    tell(`| ${count} | ${heldMb} | ${releasedMb} | ${held.rate.toFixed(0)} |`);
    const most = Math.max(held.peakMb, released.peakMb);
    if (most > allowed)
      tell(`target missed: ${most.toFixed(0)} MB with ${count} sessions, ${allowed.toFixed(0)} are allowed`);
  }
}

/** One store with so many new sessions. */
async function fill(
  count: number,
  untilIdle: boolean,
  { cacheMib, watchMs }: Omit<MemoryPlan, 'sessions'>,
  { servers }: Services,
): Promise<{ peakMb: number; rate: number }> {
  const settings = { untilIdle, heldSessions: 2 * count, valueBytes, cacheMib };
  const place = { servers, name: `memory-${randomUUID()}`, sessions: 'new', member: 0, settings };
  const store = await lockedSession.start!(place);
  try {
    const client = await lockedSession.open(place);
    const begin = performance.now();
    let made = 0;
    const scope = async () => {
      while (made < count) await client.create(`new-${made++}`);
    };
    await Promise.all(Array.from({ length: atOnce }, scope));
    const rate = count / ((performance.now() - begin) / 1_000);
    await pause(watchMs);
    const peak = (await peakMb(store.store!)) ?? Number.NaN;
    await client.close();
    return { peakMb: peak, rate };
  } finally {
    await store.close();
  }
}
