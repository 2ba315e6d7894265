/**
 * A store over PostgreSQL is stopped under load for longer than its heartbeat, another one takes its place,
 * and then the first one continues. It must change nothing, and holders must ignore its answers. The history
 * is judged.
 */
import { afterAll, beforeAll, expect, it, onTestFailed } from 'vitest';
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { findDatabase } from '../../scripts/services/database.js';
import type { FoundServer } from '../../scripts/services/found-server.js';
import { judge } from './checker.js';
import { figure } from './figures.js';
import { findRabbitmq, Fleet, until, type Rabbitmq } from './fleet.js';
import { moment, type History } from './history.js';
import { Load } from './load.js';

const partitions = 2;
const pausedMs = 15_000;
const schema = `fault_${randomUUID().slice(0, 8)}`;

const rabbitmq: Rabbitmq = await findRabbitmq();
let database: FoundServer;
let fleet: Fleet;
/** What the processes have said, for a failure that comes once in a while. */
const said: string[] = [];
beforeAll(async () => {
  database = await findDatabase({ log: { log() {}, warn: console.warn, error: console.error } });
  fleet = await Fleet.create(rabbitmq, {
    partitions,
    log: (line) => void said.push(line),
    store: {
      STORE_REPOSITORY: 'postgres',
      STORE_DATABASE_URL: database.url,
      STORE_DATABASE_SCHEMA: schema,
      AMQP_HEARTBEAT_SECONDS: '2',
    },
  });
});
afterAll(async () => {
  await fleet.stop();
  await rabbitmq.stop();
  await query(`drop schema if exists ${schema} cascade`);
  await database.stop();
});

async function query(text: string): Promise<Record<string, unknown>[]> {
  const client = new Client(database.url);
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return rows as Record<string, unknown>[];
}

it('a store that continues after 15 s changes nothing, since another one owns its partitions', async () => {
  onTestFailed(() => console.log(said.slice(-200).join('\n')));
  const first = await fleet.store('store 1');
  const servers = await Promise.all([fleet.server('one'), fleet.server('two')]);
  const load = new Load(4, { pauseMs: 50 });
  load.start(servers);
  await until(() => load.acknowledged >= 100, 10_000, 'the first store serves');
  const second = await fleet.store('store 2');
  const epochs = async () =>
    (await query(`select epoch from ${schema}.partitions order by partition`)).map(({ epoch }) =>
      Number(epoch),
    );
  const before = await epochs();

  first.pause();
  const paused = moment();
  const asked = () =>
    load.requests.filter(
      ({ begin, end, code, task }) => begin > paused && end < Infinity && !code && task !== 'read',
    );
  await until(() => asked().length > 0, pausedMs, 'the second store serves');
  figure(
    'stopped store, heartbeat 2 s: the first change after',
    Math.min(...asked().map(({ end }) => end)) - paused,
  );
  await until(
    async () => (await epochs()).every((epoch, at) => epoch > before[at]!),
    pausedMs,
    'all are claimed anew',
  );
  const taken = await epochs();
  await until(() => moment() - paused >= pausedMs, pausedMs, 'it was stopped for 15 s');
  first.resume();
  await first.says(/partitions? [\d, ]+(is|are) given up: /);
  const resumed = load.acknowledged;
  await until(() => load.acknowledged > resumed + 100, 10_000, 'the second store serves on');
  expect(await epochs()).toEqual(taken);

  expect(await load.stop(30_000)).toBe(0);
  const auditor = await fleet.server('auditor');
  for (const session of load.all) await auditor.read(session);
  const seen = await fleet.noted(auditor.member);
  const left = new Map(seen.map(({ session, saw }) => [session, { a: saw.a!, b: saw.b! }]));
  const history: History = {
    seed: 4,
    requests: load.requests,
    visits: await fleet.visits(),
    faults: [],
    left,
  };
  expect(judge(history)).toEqual([]);
  expect(await fleet.wrongInTraces()).toEqual([]);
  await second.kill('SIGTERM');
});
