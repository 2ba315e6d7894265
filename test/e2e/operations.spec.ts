/**
 * RabbitMQ as operators secure it: least rights, TLS, virtual hosts. On a private node, with real stores and
 * app servers, in both layouts of queues.
 */
import { connect, type ChannelModel } from 'amqplib';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AmqpBroker, checkAmqp, type AmqpTls } from '#broker';
import { startPrivateRabbitmq, type PrivateRabbitmq } from '../../scripts/services/private-rabbitmq.js';
import { makeCertificates, pemOf, type Certificates } from './certificates.js';
import { Deployment, newSession, type AppServer } from './deployment.js';

let certificates: Certificates;
let rabbitmq: PrivateRabbitmq;
beforeAll(async () => {
  certificates = await makeCertificates();
  rabbitmq = await startPrivateRabbitmq({ tls: { ca: certificates.ca, ...certificates.server } });
});
afterAll(async () => {
  await rabbitmq.stop();
  await rm(certificates.folder, { recursive: true });
});

const layouts = ['partitioned', 'per-session'] as const;
const as = (user: string) => rabbitmq.url.replace('guest:guest', `${user}:secret`);

/** The lines of docs/OPERATING.md, with the prefix of the deployment. */
async function grantLeastRights(prefix: string): Promise<void> {
  const text = await readFile('docs/OPERATING.md', 'utf8');
  const lines = [...text.matchAll(/^rabbitmqctl set_permissions -p \/ (\w+) '(.*)' '(.*)' '(.*)'$/gm)];
  expect(lines).toHaveLength(2);
  for (const [, user, ...rights] of lines) {
    const mine = rights.map((right) => right.replaceAll('locked-session', prefix));
    await rabbitmq.ctl('set_permissions', '-p', '/', user!, ...mine);
  }
}

describe.each(layouts)('with the least rights, queues %s', (queues) => {
  let deployment: Deployment;
  let one: AppServer, two: AppServer;
  let holderQueue: string;
  let connection: ChannelModel;

  beforeAll(async () => {
    for (const user of ['store', 'app']) await rabbitmq.ctl('add_user', user, 'secret').catch(() => {});
    deployment = await Deployment.create({ url: rabbitmq.url, partitions: 2, queues });
    await grantLeastRights(deployment.prefix);
    await deployment.store({ AMQP_URL: as('store') });
    const env = { AMQP_URL: as('app') };
    [one, two] = await Promise.all([deployment.server('one', env), deployment.server('two', env)]);
    connection = await connect(as('app'));
    connection.on('error', () => {});
    const names = await rabbitmq.ctl('list_queues', '-q', 'name');
    holderQueue = names.split('\n').find((name) => name.startsWith(`${deployment.prefix}.holder.`))!;
  });
  afterAll(async () => {
    await connection.close().catch(() => {});
    await deployment.stop();
  });

  it('changes, reads and handoffs between app servers work', async () => {
    const session = newSession();
    expect(await one.send(session, 'POST a', 'red')).toEqual(['red']);
    expect(await two.send(session, 'POST a', 'green')).toEqual(['red', 'green']);
    const blue = await one.enter(session, 'POST a', 'blue');
    const yellow = two.enter(session, 'POST a', 'yellow');
    await deployment.untilWaiting(two, session);
    await blue.leave();
    expect(await (await yellow).leave()).toEqual(['red', 'green', 'blue', 'yellow']);
  });

  const refused = async (
    what: (channel: Awaited<ReturnType<ChannelModel['createChannel']>>) => Promise<unknown>,
  ) => {
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    return what(channel).then(
      () => 'allowed',
      (error: Error) => error.message,
    );
  };

  it("an app server can read neither another one's queue nor the store's nor waiting requests", async () => {
    const { prefix } = deployment;
    const session = `${prefix}.session.s`;
    expect(holderQueue).toBeDefined();
    expect(await refused((channel) => channel.consume(holderQueue, () => {}))).toMatch(/RESOURCE.LOCKED/);
    expect(await refused((channel) => channel.get(holderQueue))).toMatch(/RESOURCE.LOCKED/);
    expect(await refused((channel) => channel.consume(`${prefix}.store.0`, () => {}))).toMatch(
      /ACCESS.REFUSED/,
    );
    expect(await refused((channel) => channel.get(`${prefix}.store.0`))).toMatch(/ACCESS.REFUSED/);
    expect(await refused((channel) => channel.purgeQueue(`${prefix}.store.0`))).toMatch(/ACCESS.REFUSED/);
    expect(await refused((channel) => channel.deleteQueue(`${prefix}.store.0`))).toMatch(/ACCESS.REFUSED/);
    expect(await refused((channel) => channel.deleteExchange(prefix))).toMatch(/ACCESS.REFUSED/);
    await refused((channel) =>
      channel.assertQueue(session, { durable: true, arguments: { 'x-expires': 60_000 } }),
    );
    expect(await refused((channel) => channel.consume(session, () => {}))).toMatch(/ACCESS.REFUSED/);
    // Nor may it listen to frames of others.
    const listen = async (channel: Parameters<Parameters<typeof refused>[0]>[0]) => {
      const { queue } = await channel.assertQueue(`${prefix}.holder.spy`, { exclusive: true });
      await channel.bindQueue(queue, prefix, '0');
    };
    expect(await refused(listen)).toMatch(/ACCESS.REFUSED/);
  });
});

describe('by TLS', () => {
  /** Resolves with the first event: `connected`, or a warning of the log. */
  const reached = async (tls: AmqpTls, host = 'localhost', port = rabbitmq.tlsPort) => {
    let tell!: (what: string) => void;
    const told = new Promise<string>((resolve) => (tell = resolve));
    const url = `amqps://guest:guest@${host}:${port}`;
    const broker = new AmqpBroker({
      url,
      secrets: () => ({ tls }),
      log: { log() {}, warn: tell, error: tell },
    });
    const client = { connected: () => tell('connected'), disconnected() {}, received() {}, returned() {} };
    broker.join('h', client).catch(() => {}); // it is closed before it is connected
    const what = await told;
    await broker.close();
    return what;
  };

  it('works with a certificate that RabbitMQ trusts', async () => {
    expect(await reached(await pemOf(certificates.ca, certificates.client))).toBe('connected');
    const named = { ...(await pemOf(certificates.ca, certificates.client)), servername: 'localhost' };
    expect(await reached(named, '127.0.0.1')).toBe('connected');
  });

  it('names the fault: an untrusted authority, another name, no client certificate', async () => {
    const client = await pemOf(certificates.ca, certificates.client);
    const hint = /check the certificates on both sides/;
    const stranger = await readFile(certificates.stranger, 'utf8');
    expect(await reached({ ...client, ca: stranger })).toMatch(hint);
    expect(await reached({ ...client, servername: 'another.example' })).toMatch(hint);
    expect(await reached(await pemOf(certificates.ca))).toMatch(hint);
  });

  it('names a port that speaks no TLS, and one that speaks only TLS', async () => {
    const pem = await pemOf(certificates.ca, certificates.client);
    const plainPort = Number(new URL(rabbitmq.url).port);
    expect(await reached(pem, 'localhost', plainPort)).toMatch(/this port speaks no TLS: use amqp:/);
    const plain = `amqp://guest:guest@localhost:${rabbitmq.tlsPort}`;
    await expect(checkAmqp(plain)).rejects.toThrow(/one for TLS needs amqps:/);
  });

  it.each(layouts)('a store and app servers work as without TLS, queues %s', async (queues) => {
    const deployment = await Deployment.create({ url: rabbitmq.url, partitions: 2, queues });
    const { ca, client } = certificates;
    const env = {
      AMQP_URL: `amqps://guest:guest@localhost:${rabbitmq.tlsPort}`,
      AMQP_CA_FILE: ca,
      AMQP_CERT_FILE: client.cert,
      AMQP_KEY_FILE: client.key,
    };
    try {
      await deployment.store(env);
      const [one, two] = await Promise.all(['one', 'two'].map((name) => deployment.server(name, env)));
      const session = newSession();
      await one!.send(session, 'POST a', 'red');
      expect(await two!.send(session, 'POST a', 'green')).toEqual(['red', 'green']);
    } finally {
      await deployment.stop();
    }
  });
});

it('the log names the check for a user without a right on the virtual host, or with too many connections', async () => {
  const hint =
    /check the virtual host .*, the user's permissions on it, and RabbitMQ's limits on connections/;
  await rabbitmq.ctl('add_user', 'stranger', 'secret');
  await rabbitmq.ctl('add_user', 'jörg', 'schlüssel');
  await rabbitmq.ctl('set_permissions', '-p', '/', 'jörg', '', '', '');
  await checkAmqp(rabbitmq.url.replace('guest:guest', 'jörg:schlüssel'));
  await expect(checkAmqp(as('stranger'))).rejects.toThrow(hint);
  await rabbitmq.ctl('set_permissions', '-p', '/', 'stranger', '', '', '');
  await rabbitmq.ctl('set_user_limits', 'stranger', '{"max-connections":0}');
  await expect(checkAmqp(as('stranger'))).rejects.toThrow(hint);
});

it('a changed password needs no restart, since the store reads it again when it connects', async () => {
  await rabbitmq.ctl('add_user', 'rotated', 'first');
  await rabbitmq.ctl('set_permissions', '-p', '/', 'rotated', '.*', '.*', '.*');
  const folder = await mkdtemp(join(tmpdir(), 'locked-session-secrets-'));
  const file = join(folder, 'password');
  await writeFile(file, 'first\n');
  const deployment = await Deployment.create({ url: rabbitmq.url, partitions: 2 });
  try {
    const url = rabbitmq.url.replace('guest:guest', 'rotated');
    const store = await deployment.store({ AMQP_URL: url, AMQP_PASSWORD_FILE: file });
    const server = await deployment.server('server');
    const session = newSession();
    await server.send(session, 'POST a', 'before');
    await rabbitmq.ctl('change_password', 'rotated', 'second');
    await rabbitmq.ctl('close_all_user_connections', 'rotated', 'rotation');
    await store.says(/check the user and the password/);
    await writeFile(file, 'second');
    await store.says(/RabbitMQ at .* is back/);
    expect(await server.send(session, 'POST a', 'after')).toEqual(['before', 'after']);
    expect(store.output()).not.toMatch(/first|second/);
  } finally {
    await deployment.stop();
    await rm(folder, { recursive: true });
  }
});

it('deployments with different prefixes or virtual hosts share nothing', async () => {
  await rabbitmq.ctl('add_vhost', 'other');
  await rabbitmq.ctl('set_permissions', '-p', 'other', 'guest', '.*', '.*', '.*');
  const heard: string[] = [];
  const log = { log() {}, warn() {}, error() {} };
  const places = [
    { url: rabbitmq.url, prefix: 'here' },
    { url: rabbitmq.url, prefix: 'there' },
    { url: `${rabbitmq.url}/other`, prefix: 'here' },
  ];
  const brokers = places.map((place) => new AmqpBroker({ ...place, log }));
  try {
    const joining = brokers.map(async (broker, at) => {
      let came!: () => void;
      const arrived = new Promise<void>((resolve) => (came = resolve));
      const received = ({ bytes }: { bytes: Uint8Array }) => {
        heard.push(`${at} hears ${new TextDecoder().decode(bytes)}`);
        came();
      };
      const server = { received, lost() {}, queueGone() {}, echoed() {} };
      await broker.serve(0, { prefetch: 10 }, server);
      const link = await broker.join('h', {
        connected() {},
        disconnected() {},
        received() {},
        returned() {},
      });
      return { link, arrived };
    });
    const parties = await Promise.all(joining);
    for (const [at, { link }] of parties.entries()) link.send(0, new TextEncoder().encode(`${at}`));
    await Promise.all(parties.map(({ arrived }) => arrived));
    expect(heard.toSorted()).toEqual(['0 hears 0', '1 hears 1', '2 hears 2']);
  } finally {
    await Promise.all(brokers.map((broker) => broker.close()));
  }
});
