/**
 * Floods over the real drivers: of waiters, of new sessions, and of lies. Limits lead to clear refusals, the
 * store's memory stays bounded, and other sessions wait no longer than on a busy machine.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodeHolderFrame, noChanges, type HolderMessage } from '#protocol';
import { busyMs } from '../fault/figures.js';
import { messagesOf } from './broker-side.js';
import { Deployment, newSession, type AppServer, type Program } from './deployment.js';

const mebibyte = 1024 * 1024;
let deployment: Deployment;
let store: Program;
let server: AppServer;

beforeAll(async () => {
  deployment = await Deployment.create({ partitions: 1 });
  // A small heap shows what the process keeps, and not when it collects garbage.
  const limits = {
    STORE_WAITERS_PER_SESSION: '4',
    STORE_WAITERS_PER_PARTITION: '8',
    STORE_CACHE_MIB: '1',
    NODE_OPTIONS: '--max-old-space-size=64 --max-semi-space-size=4',
  };
  store = await deployment.store(limits);
  server = await deployment.server('server');
});
afterAll(() => deployment.stop());

/** The store's own memory, without the tables that LevelDB maps. */
const ownBytes = async () => {
  const status = await readFile(`/proc/${store.pid}/status`, 'utf8');
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)![1]) * 1024;
};

/** Sends messages to the store in the name of a holder. */
function say(holder: string, queue: string, ...messages: HolderMessage[]): void {
  const bytes = encodeHolderFrame({ holder, queue, parts: [{ partition: 0, epoch: 0, messages }] });
  deployment.broker.toStore(0, bytes, queue);
}

const acquire = (session: string, request: number): HolderMessage => ({
  kind: 'acquire',
  session,
  request,
  mode: 'exclusive',
  create: new Map([['a', new Uint8Array(2_000)]]),
  waitMs: 60_000,
});

/** The longest time of a change of another session during `flood`. */
async function besides(flood: Promise<unknown>): Promise<number> {
  let isOver = false;
  const over = flood.finally(() => (isOver = true));
  let longestMs = 0;
  const session = newSession();
  while (!isOver) {
    const begin = performance.now();
    await server.send(session, 'POST b', 'mine');
    longestMs = Math.max(longestMs, performance.now() - begin);
  }
  await over;
  return longestMs;
}

it('of 1,000 holders that want a held session four wait, and the others are refused', async () => {
  const session = newSession();
  const stay = await server.enter(session, 'POST a', 'red');
  const answers = await deployment.broker.listenAs('flood.1');
  const told: string[] = [];
  const flood = async () => {
    for (let at = 0; at < 1_000; at++) say(`flood-${at}`, 'flood.1', acquire(session['x-session']!, 1));
    while (told.length < 996) {
      const messages = messagesOf((await answers.next()).value);
      for (const message of messages) if (message.kind === 'refused') told.push(message.why);
    }
  };
  const longestMs = await besides(flood());
  console.log(`  flood of waiters: a change of another session took at most ${Math.round(longestMs)} ms`);
  expect(new Set(told)).toEqual(new Set(['too-many-waiters']));
  expect(longestMs).toBeLessThan(1_000 + busyMs);
  for (let at = 0; at < 1_000; at++) say(`flood-${at}`, 'flood.1', { kind: 'leave' });
  expect(await stay.leave()).toEqual(['red']);
});

it('the memory of the store stays bounded when one liar makes endless new sessions', async () => {
  const answers = await deployment.broker.listenAs('flood.2');
  let granted = 0;
  const flood = async (first: number, end: number) => {
    for (let from = first; from < end; from += 500) {
      const asked = Array.from({ length: 500 }, (_, at) => acquire(`flooded-${from + at}`, from + at + 1));
      say('flood', 'flood.2', ...asked);
      while (granted < from + 500) {
        const messages = messagesOf((await answers.next()).value);
        granted += messages.filter(({ kind }) => kind === 'grant').length;
      }
    }
  };
  await flood(0, 15_000); // then its caches are full
  const before = await ownBytes();
  const longestMs = await besides(flood(15_000, 90_000));
  const grown = (await ownBytes()) - before;
  console.log(
    `  flood of new sessions: another 150 MB of state, ${Math.round(grown / mebibyte)} MiB more in the store's process; a change of another session took at most ${Math.round(longestMs)} ms`,
  );
  expect(grown).toBeLessThan(64 * mebibyte);
  expect(longestMs).toBeLessThan(1_000 + busyMs);
});

it('lies about locks of other holders change nothing: wrong tokens, replays, other names', async () => {
  const session = newSession();
  const heard = await deployment.broker.listen();
  await server.send(session, 'POST a', 'red');
  await server.send(session, 'POST a', 'green');
  const frames = [];
  for (let found = false; !found;) {
    const { value } = await heard.next();
    frames.push(value);
    found = messagesOf(value).some(
      (message) => message.kind === 'commit' && message.session === session['x-session'],
    );
  }
  const commit = messagesOf(frames.at(-1)!).find(({ kind }) => kind === 'commit')!;
  const { token } = commit as Extract<HolderMessage, { kind: 'commit' }>;
  const id = session['x-session']!;
  const answers = await deployment.broker.listenAs('liar.1');
  const lies: HolderMessage[] = [];
  for (let seq = 0; seq < 50; seq++) {
    const head = { session: id, token, seq };
    lies.push({ kind: 'commit', ...head, set: new Map([['a', new Uint8Array([0xc0])]]), removed: [] });
    lies.push({ kind: 'release', ...head, ...noChanges }, { kind: 'destroy', ...head });
    lies.push({ kind: 'cancel', session: id, request: seq });
  }
  lies.push({ kind: 'renew', n: 1, reclaim: [[id, token, 0]], touches: [[id, 0]] });
  say('liar', 'liar.1', ...lies);
  let valid: unknown;
  while (valid === undefined) {
    const messages = messagesOf((await answers.next()).value);
    for (const message of messages) if (message.kind === 'renewed') valid = message.valid;
  }
  expect(valid).toEqual([]);
  // The store answers a replay in the holder's name, but does not apply it again.
  for (const frame of frames) say(frame.holder, frame.queue, ...messagesOf(frame));
  expect(await server.send(session, 'POST a', 'blue')).toEqual(['red', 'green', 'blue']);
});

it('new visitors above the limit per second are refused with 503, and others are served', async () => {
  const limits = { QUEUES: 'per-session', SESSION_QUEUES_PER_SECOND: '5' };
  const careful = await deployment.server('careful', limits);
  const known = newSession();
  await careful.send(known, 'POST a', 'red');
  const visits = await Promise.all(
    Array.from({ length: 100 }, () => careful.status(newSession(), 'POST a', 'new')),
  );
  expect(visits.filter((status) => status === 503).length).toBeGreaterThan(15);
  expect(visits.filter((status) => status < 300).length).toBeGreaterThanOrEqual(4);
  expect(await careful.send(known, 'POST a', 'green')).toEqual(['red', 'green']);
});
