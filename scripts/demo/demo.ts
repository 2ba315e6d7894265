/**
 * `npm run demo`: three app servers change the same sessions at the same time, and nothing is lost. It starts
 * a broker, a store, three shop servers and a gateway, each as in production. It measures a load on them,
 * prints the figures, and leaves the shop open until Ctrl-C.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { removeAmqpDeployment } from '#broker';
import { findBroker } from '../services/broker.js';
import { startGateway } from './gateway.js';
import { cleanUpOnExit } from '../processes/exit-cleanup.js';
import { noInstall } from '../services/debian.js';
import { runLoad, type LoadFigures } from './load.js';
import { startProcess, type ProcessOptions, type RunningProcess } from '../processes/processes.js';
import { number, percent, progress, table } from './report.js';

const help = `Three app servers change the same sessions at the same time: shows that nothing is lost.

Usage: npm run demo -- [options]

  --clients <n>       clients, each with a session of its own [20]
  --parallel <n>      requests that each client keeps under way, over all servers [3]
  --seconds <n>       how long the load lasts [5]
  --requests <n>      ends the load earlier, when so many requests were sent
  --once              ends after the load; the exit code is 1 if anything was lost or failed
  --json              prints the figures as one JSON object, the last line of stdout; all else goes to stderr
  --queues <layout>   where requests for locks wait: partitioned (default) or per-session
  --broker-url <url>  the RabbitMQ to use, as does AMQP_URL; else one is found or started
  --verbose           shows what the processes log
  --no-install        installs no package of the system
  --help              shows this`;

const partitions = 16;
const servers = ['shop-1', 'shop-2', 'shop-3'];

interface Options {
  readonly clients: number;
  readonly parallel: number;
  readonly seconds: number;
  readonly requests: number | undefined;
  readonly queues: string;
  readonly once: boolean;
  readonly json: boolean;
  readonly verbose: boolean;
}

/** What must be ended, the latest last. */
const endings: (() => Promise<unknown>)[] = [];
let ending = false;
let exitCode = 130;
/** The time for an orderly end of the processes. */
const patienceMs = 4_000;

const options = readOptions();
const people = options.json ? process.stderr : process.stdout;
const say = (line = '') => void people.write(`${line}\n`);
const log = { log: say, warn: say, error: say };

// The first Ctrl-C ends everything in order. The second one kills this process, and so its children.
const interruption = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
});
let fail: (error: Error) => void;
const accident = new Promise<never>((_, reject) => (fail = reject));
try {
  await Promise.race([demo(), interruption, accident]);
} catch (error) {
  exitCode = 1;
  say(error instanceof Error ? error.message : String(error));
}
ending = true;
while (endings.length > 0) await endings.pop()!().catch((error: unknown) => say(String(error)));
process.exit(exitCode);

async function demo(): Promise<void> {
  const broker = await findBroker({ log, mode: 'demo' });
  endings.push(() => broker.stop());
  say(`Broker: ${broker.origin}.`);

  const shops = await startShops(broker.url);
  const gateway = await startGateway(shops);
  endings.push(() => gateway.close());
  say(`The shop is open: ${gateway.url} (${servers.join(', ')} in turn).`);

  const figures = await load(gateway.url);
  const counters = await sumOfCounters(shops);
  exitCode = figures.lost + figures.strays + figures.failed > 0 ? 1 : 0;
  say(`\n${report(figures, counters)}`);
  for (const [reason, count] of Object.entries(figures.failures).slice(0, 5)) say(`${count} × ${reason}`);
  if (options.json) console.log(json(figures, counters, broker.origin));
  if (options.once) return;

  say(`\nThe shop stays open: ${gateway.url}\nCtrl-C ends it.`);
  await interruption;
}

/** Starts a store and then the servers, with data and queues of this run alone. Returns where they listen. */
async function startShops(brokerUrl: string): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'locked-session-demo-'));
  const will = cleanUpOnExit('for try in 1 2 3 4 5; do rm -rf -- "$1" && break; sleep 0.2; done', directory);
  endings.push(() => will.execute());

  const broker = { AMQP_URL: brokerUrl, AMQP_PREFIX: `locked-session-demo-${randomUUID()}` };
  endings.push(() => removeAmqpDeployment(brokerUrl, broker.AMQP_PREFIX, partitions));
  const store = await start({
    name: 'store',
    script: 'dist/apps/store/src/main.js',
    env: { ...broker, STORE_PARTITIONS: `${partitions}`, STORE_DIRECTORY: directory },
    ready: /store is ready/,
  });
  endings.push(() => store.kill('SIGTERM', patienceMs));

  const shops: RunningProcess[] = [];
  endings.push(() => Promise.all(shops.map((shop) => shop.kill('SIGTERM', patienceMs))));
  const secret = randomBytes(32).toString('hex');
  const starting = servers.map(async (name) => {
    const shop = await start({
      name,
      script: 'dist/apps/shop/src/main.js',
      env: {
        ...broker,
        PARTITIONS: `${partitions}`,
        QUEUES: options.queues,
        PORT: '0',
        SERVER_NAME: name,
        SESSION_SECRET: secret,
      },
      ready: /^listening on (http:\S+)/,
    });
    shops.push(shop);
    return shop.match[1]!;
  });
  return Promise.all(starting);
}

/** Starts a process. The demo fails when it ends by itself. */
async function start(what: ProcessOptions): Promise<RunningProcess> {
  const started = await startProcess({ ...what, ...(options.verbose && { log: say }) });
  const watch = async () => {
    const { code, signal } = await started.stopped;
    const last = started.output().split('\n').slice(-10).join('\n');
    if (!ending)
      fail(new Error(`${what.name} stopped (${signal ?? `code ${code}`}). The last it printed:\n${last}`));
  };
  void watch();
  return started;
}

async function load(url: string): Promise<LoadFigures> {
  const { clients, parallel, seconds, requests } = options;
  const bar = progress(people);
  endings.push(async () => bar.end());
  say(`The load: ${clients} clients, each with ${parallel} requests of its one session under way.`);
  const figures = await runLoad({
    urls: [url],
    clients,
    parallel,
    seconds,
    requests,
    progress: (done, count) => ending || bar.update(done, `${number(count)} requests`),
  });
  bar.end();
  return figures;
}

type Counters = Readonly<Record<string, number>>;

/** The sums of what the servers have counted since their start. */
async function sumOfCounters(urls: string[]): Promise<Counters> {
  const sum: Record<string, number> = {};
  for (const url of urls) {
    const { counters } = (await (await fetch(`${url}/stats`)).json()) as { counters: Counters };
    for (const [name, count] of Object.entries(counters)) sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}

function report(figures: LoadFigures, counters: Counters): string {
  const { scopes = 0, servedFromHeldLock = 0, servedWithoutMessage = 0, grants = 0, recalls = 0 } = counters;
  const { clients, parallel } = options;
  return table(`${clients} sessions, each changed on ${servers.length} servers at once`, [
    ['updates acknowledged', number(figures.updates)],
    ['found', number(figures.found), 'exactly once in the cart'],
    ['LOST', number(figures.lost)],
    null,
    ['requests', number(figures.requests), `in ${number(figures.seconds, 1)} s`],
    ['failed', number(figures.failed)],
    ['a second', number(figures.requestsPerSecond)],
    ['latency p50', `${number(figures.p50Ms, 1)} ms`, `with ${clients * parallel} requests under way`],
    ['latency p95', `${number(figures.p95Ms, 1)} ms`],
    ['latency p99', `${number(figures.p99Ms, 1)} ms`],
    null,
    ['grants', number(grants), 'the store gave a server the lock of a session'],
    ['recalls', number(recalls), 'the store asked a server to give it back'],
    ['served under a held lock', percent(servedFromHeldLock, scopes), 'the lock was there already'],
    ['served without a message', percent(servedWithoutMessage, scopes), 'and nothing was changed'],
  ]);
}

function json(figures: LoadFigures, counters: Counters, broker: string): string {
  const { failures: _, ...measured } = figures;
  const { scopes, servedFromHeldLock, servedWithoutMessage, grants, recalls } = counters;
  const counted = { scopes, servedFromHeldLock, servedWithoutMessage, grants, recalls };
  const { clients, parallel } = options;
  const all = { ...measured, ...counted, clients, parallel, servers: servers.length, broker };
  return JSON.stringify(all, (_, value) =>
    typeof value === 'number' ? Math.round(value * 1e3) / 1e3 : value,
  );
}

function readOptions(): Options {
  const whole = (name: string, text: string) => {
    const value = Number(text);
    if (Number.isInteger(value) && value > 0) return value;
    throw new Error(`--${name} is '${text}', but must be a whole number from 1`);
  };
  try {
    const { values } = parseArgs({
      options: {
        clients: { type: 'string', default: '20' },
        parallel: { type: 'string', default: '3' },
        seconds: { type: 'string', default: '5' },
        requests: { type: 'string' },
        'broker-url': { type: 'string' },
        queues: { type: 'string', default: 'partitioned' },
        once: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
        'no-install': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help) {
      console.log(help);
      process.exit(0);
    }
    if (values['no-install']) process.env[noInstall.variable] = '1';
    if (values['broker-url']) process.env.AMQP_URL = values['broker-url'];
    return {
      ...values,
      clients: whole('clients', values.clients),
      parallel: whole('parallel', values.parallel),
      seconds: whole('seconds', values.seconds),
      requests: values.requests === undefined ? undefined : whole('requests', values.requests),
    };
  } catch (error) {
    console.error(`${(error as Error).message}; see --help`);
    process.exit(2);
  }
}
