// `locked-session audit` on applications as people have them: started by their own command, as CommonJS and
// as ES modules, on Express and on Fastify, with a MemoryStore and with connect-redis. The meter's number
// stands beside what was really lost.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MeterReport } from '#meter';
import { root } from '../../scripts/processes/processes.js';
import { startPrivateRedis, type PrivateRedis } from '../../scripts/services/private-redis.js';

const log = { log: console.log, warn: console.warn, error: console.error };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'locked-session-audit-e2e-'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What all applications of this suite have: a gate, so that all read before one saves, and a client. */
const shared = `
const gates = {};
/** Waits until \`count\` have come to the gate. */
function gate(name, count) {
  const one = (gates[name] ??= { come: 0, open: [] });
  one.come += 1;
  return new Promise((resolve) => {
    one.open.push(resolve);
    if (one.come >= count) for (const open of one.open.splice(0)) open();
  });
}
async function client(base, requests) {
  const begun = await fetch(base + '/login', { method: 'POST' });
  const cookie = begun.headers.getSetCookie()[0].split(';')[0];
  const send = async (path) => (await fetch(base + path, { method: 'POST', headers: { cookie } })).json();
  await requests(send);
}
const many = (count, send) => Promise.all(Array.from({ length: count }, send));
const really = (lost) => console.log(JSON.stringify({ really: lost }));
`;

const expressApp = (count: number) => `
const app = express();
app.use(session({ ...options, secret: 'of a test', resave: false, saveUninitialized: true }));
app.post('/login', (request, response) => response.json({}));
app.post('/cart/items', async (request, response) => {
  const items = request.session.items ?? [];
  await gate('items', ${count});
  request.session.items = [...items, Math.random()];
  response.json({});
});
app.post('/visits', async (request, response) => {
  const visits = request.session.visits ?? 0;
  await gate('visits', ${count});
  request.session.visits = visits + 1;
  response.json({});
});
app.post('/logout', async (request, response) => {
  await gate('read', 2);
  request.session.destroy(() => response.json(gate('gone', 2) && {}));
});
app.post('/profile', async (request, response) => {
  await gate('read', 2);
  await gate('gone', 2);
  request.session.name = 'new';
  response.json({});
});
app.post('/session', (request, response) => response.json(request.session));
const server = app.listen(0, '127.0.0.1', () =>
  client('http://127.0.0.1:' + server.address().port, async (send) => {
    await many(${count}, () => send('/cart/items'));
    await many(${count}, () => send('/visits'));
    const { items, visits } = await send('/session');
    really({ items: ${count} - items.length, visits: ${count} - visits });
    await end(send);
  }),
);
`;

const fastifyApp = (count: number) => `
const app = Fastify();
app.register(cookie);
app.register(session, { ...options, secret: 'of a test, 32 characters or more', cookie: { secure: false } });
app.post('/login', async () => ({}));
app.post('/cart/:what', async (request) => {
  const items = request.session.items ?? [];
  await gate('items', ${count});
  request.session.items = [...items, Math.random()];
  return {};
});
app.post('/session', async (request) => request.session);
app.listen({ port: 0, host: '127.0.0.1' }).then((base) =>
  client(base, async (send) => {
    await many(${count}, () => send('/cart/items'));
    const { items } = await send('/session');
    really({ items: ${count} - items.length });
    await end(send);
  }),
);
`;

const redisStore = (url: string) => `
const redis = await createClient({ url: '${url}' }).connect();
const options = { store: new RedisStore({ client: redis, prefix: Math.random() + ':' }) };
`;
const esmExpress = `import express from 'express';\nimport session from 'express-session';\n`;
const esmFastify =
  `import Fastify from 'fastify';\nimport cookie from '@fastify/cookie';\n` +
  `import session from '@fastify/session';\n`;
const esmRedis = `import { createClient } from 'redis';\nimport { RedisStore } from 'connect-redis';\n`;
const exit = (code: number) => `const end = () => process.exit(${code});\n`;

interface Audited {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly really: Readonly<Record<string, number>>;
  readonly report: MeterReport;
  readonly stderr: string;
}

/** Runs an application under the audit. The last line of its output tells what was really lost. */
async function audited(name: string, source: string): Promise<Audited> {
  writeFileSync(join(folder, name), source);
  const program = join(root, 'dist/apps/cli/src/main.js');
  const args = [program, 'audit', '--', process.execPath, name];
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
  ]);
  const { really } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Pick<Audited, 'really'>;
  const line = stderr.split('\n').find((one) => one.startsWith('{"lockedSessionAudit"')) ?? '{}';
  const { lockedSessionAudit } = JSON.parse(line) as { lockedSessionAudit: MeterReport };
  return { code, signal, really, report: lockedSessionAudit, stderr };
}

const ofRoute = ({ routes }: MeterReport, route: string) => routes.find((one) => one.route === route);

describe('an application of Express', () => {
  it('as CommonJS, which ends with a code of its own', async () => {
    const head = `const express = require('express');\nconst session = require('express-session');\n`;
    const app = `${head}const options = {};\n${exit(7)}${shared}${expressApp(32)}`;
    const { code, really, report } = await audited('app.cjs', app);
    expect(code).toBe(7);
    expect(really).toEqual({ items: 31, visits: 31 });
    expect(ofRoute(report, 'POST /cart/items')).toMatchObject({ saves: 32, lost: 31, same: 0, unknown: 0 });
    expect(ofRoute(report, 'POST /visits')).toMatchObject({ saves: 32, lost: 0, same: 31, unknown: 0 });
  });

  it('as an ES module, which a signal ends', async () => {
    const end = `const end = () => process.kill(process.pid, 'SIGTERM');\n`;
    const app = `${esmExpress}const options = {};\n${end}${shared}${expressApp(32)}`;
    const { signal, really, report } = await audited('app.mjs', app);
    expect(signal).toBe('SIGTERM');
    expect(really).toEqual({ items: 31, visits: 31 });
    expect(report).toMatchObject({ lost: 31, same: 31, unknown: 0 });
  });

  it('that stops in order by a signal of its own handler', async () => {
    const end = `const end = () => process.kill(process.pid, 'SIGINT');\n`;
    const stop = `process.on('SIGINT', () => process.exit(3));\n`;
    const app = `${esmExpress}const options = {};\n${end}${stop}${shared}${expressApp(4)}`;
    const { code, report } = await audited('orderly.mjs', app);
    expect(code).toBe(3);
    expect(report).toMatchObject({ lost: 3, same: 3 });
  });

  it('with one request at a time: nothing is counted', async () => {
    const app = `${esmExpress}const options = {};\n${exit(0)}${shared}${expressApp(1)}`;
    const { code, really, report, stderr } = await audited('guarded.mjs', app);
    expect(code).toBe(0);
    expect(really).toEqual({ items: 0, visits: 0 });
    expect(report).toMatchObject({ saves: 3, lost: 0, same: 0, revived: 0, unknown: 0 });
    expect(stderr).toMatch(/^None of 3 saves was seen to write over a change/);
  });
});

it('the table in docs/METER.md is that of an application', async () => {
  const end = `const end = async (send) => {
    await Promise.all([send('/logout'), send('/profile')]);
    process.exit(0);
  };\n`;
  const app = `${esmExpress}const options = {};\n${end}${shared}${expressApp(8)}`;
  const { stderr } = await audited('documented.mjs', app);
  const document = readFileSync(join(root, 'docs/METER.md'), 'utf8');
  const [, shown] = /```text\n([^]*?)```/.exec(document)!;
  const cut = (whole: string) => whole.replace(/"(routes|keys)":\[.*?\](?=[,}])/g, '"$1":[…]');
  expect(cut(stderr)).toBe(shown);
});

describe('with connect-redis', () => {
  let redis: PrivateRedis;
  beforeAll(async () => {
    redis = await startPrivateRedis(log);
  });
  afterAll(() => redis.stop());

  it('Express: no more is counted than was lost, and something is', async () => {
    const app = `${esmExpress}${esmRedis}${redisStore(redis.url)}${exit(0)}${shared}${expressApp(32)}`;
    const { really, report } = await audited('redis.mjs', app);
    console.log(`really lost ${JSON.stringify(really)}, counted ${JSON.stringify(report.keys)}`);
    expect(report).toMatchObject({ revived: 0, unknown: 0 });
    expect(report.lost).toBeGreaterThan(0);
    expect(report.lost).toBeLessThanOrEqual(really.items!);
    expect(report.same).toBeGreaterThan(0);
    expect(report.same).toBeLessThanOrEqual(really.visits!);
  });

  it('Fastify: no more is counted than was lost, and something is', async () => {
    const app = `${esmFastify}${esmRedis}${redisStore(redis.url)}${exit(0)}${shared}${fastifyApp(32)}`;
    const { really, report } = await audited('redis-fastify.mjs', app);
    console.log(`really lost ${JSON.stringify(really)}, counted ${JSON.stringify(report.keys)}`);
    expect(report).toMatchObject({ revived: 0, unknown: 0 });
    expect(ofRoute(report, 'POST /cart/:what')!.lost).toBeGreaterThan(0);
    expect(report.lost).toBeLessThanOrEqual(really.items!);
  });
});

it('an application of Fastify, as CommonJS, with the store that the plugin brings', async () => {
  const head =
    `const Fastify = require('fastify');\nconst cookie = require('@fastify/cookie');\n` +
    `const session = require('@fastify/session');\n`;
  const app = `${head}const options = {};\n${exit(0)}${shared}${fastifyApp(32)}`;
  const { code, really, report } = await audited('fastify.cjs', app);
  expect(code).toBe(0);
  expect(really).toEqual({ items: 31 });
  expect(ofRoute(report, 'POST /cart/:what')).toMatchObject({ saves: 32, lost: 31, same: 0, unknown: 0 });
});
