/**
 * Incidents of a RabbitMQ: its queues and exchanges are deleted, its memory runs short, and an operator looks
 * at its lists. On a private node, in both layouts of queues.
 */
import { setTimeout as pass } from 'node:timers/promises';
import { connect, type ChannelModel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPrivateRabbitmq, type PrivateRabbitmq } from '../../scripts/services/private-rabbitmq.js';
import { busyMs } from '../fault/figures.js';
import { Deployment, newSession, soon, type AppServer } from './deployment.js';

const leaseMs = 1_000;
let rabbitmq: PrivateRabbitmq;
beforeAll(async () => {
  rabbitmq = await startPrivateRabbitmq();
});
afterAll(() => rabbitmq.stop());

describe.each(['partitioned', 'per-session'] as const)('queues %s', (queues) => {
  let deployment: Deployment;
  let one: AppServer, two: AppServer;
  let admin: ChannelModel;

  beforeAll(async () => {
    deployment = await Deployment.create({ url: rabbitmq.url, partitions: 2, queues });
    await deployment.store({ STORE_LEASE_MS: `${leaseMs}` });
    [one, two] = await Promise.all([deployment.server('one'), deployment.server('two')]);
    admin = await connect(rabbitmq.url);
  });
  afterAll(async () => {
    await admin.close();
    await deployment.stop();
  });

  /** The lines of this deployment in a list of rabbitmqctl. */
  const listed = async (what: string, ...columns: string[]) => {
    const lines = (await rabbitmq.ctl(what, '-q', ...columns)).trim().split('\n');
    return lines.filter((line) => line.includes(deployment.prefix)).map((line) => line.split('\t'));
  };

  it('its lists name stores and holders, and show who waits for a session', async () => {
    const { prefix } = deployment;
    const session = newSession();
    const red = await one.enter(session, 'POST a', 'red');
    const green = two.enter(session, 'POST a', 'green');
    await deployment.untilWaiting(two, session);
    // The unacknowledged request lasts as long as the wait.
    const counted = await listed('list_queues', 'name', 'messages_unacknowledged');
    const names = (await listed('list_connections', 'client_properties')).join();
    expect(names).toMatch(new RegExp(`${prefix} store \\S+ \\d+`));
    expect(names.match(new RegExp(`${prefix} holder [\\w-]+`, 'g'))).toHaveLength(2);
    const consumers = await listed('list_consumers', 'queue_name', 'consumer_tag');
    const ofPartitions = consumers.filter(
      ([queue, tag]) => queue!.includes('.store.') && tag!.includes(' store '),
    );
    expect(ofPartitions).toHaveLength(2);
    const waits = counted.filter(([, unacknowledged]) => Number(unacknowledged) > 0).map(([name]) => name);
    const waitsIn = queues === 'per-session' ? `.session.${session['x-session']}` : '.store.';
    expect(waits).toContainEqual(expect.stringContaining(prefix + waitsIn));
    await red.leave();
    await (await green).leave();
  });

  it('a deleted queue or exchange is made again, and all requests are served', async () => {
    const { prefix } = deployment;
    const session = newSession();
    await one.send(session, 'POST a', 'before');
    const channel = await admin.createChannel();
    const deletions: Record<string, () => Promise<unknown>> = {
      'partition 0': () => channel.deleteQueue(`${prefix}.store.0`),
      'partition 1': () => channel.deleteQueue(`${prefix}.store.1`),
      session: () => channel.deleteQueue(`${prefix}.session.${session['x-session']}`),
      exchange: () => channel.deleteExchange(prefix),
      holders: async () => {
        const names = (await listed('list_queues', 'name')).flat();
        const theirs = names.filter((name) => name.includes('.holder.'));
        await Promise.all(theirs.map((name) => rabbitmq.ctl('delete_queue', name)));
      },
    };
    for (const [what, deletes] of Object.entries(deletions)) {
      await deletes();
      await two.send(session, 'POST a', `${what} two`);
      await one.send(session, 'POST a', `${what} one`);
    }
    const all = Object.keys(deletions).flatMap((what) => [`${what} two`, `${what} one`]);
    expect(await two.send(session, 'GET a')).toEqual(['before', ...all]);
  });

  it('a memory alarm delays all requests, with a line in the log, and loses nothing', async () => {
    const session = newSession();
    await one.send(session, 'POST a', 'before');
    const before = await one.counters();
    await rabbitmq.ctl('set_vm_memory_high_watermark', '0.0001');
    const green = two.send(session, 'POST a', 'green');
    await two.program.says(/RabbitMQ takes no more frames for now/);
    await one.program.says(/RabbitMQ takes no more frames for now/);
    // No renewal gets through. After its lease a holder must not use even the locks that it holds.
    await pass(leaseMs + 200);
    let isAnswered = false;
    const reading = one.send(session, 'GET a').finally(() => (isAnswered = true));
    await one.untilWaiting(1);
    expect(isAnswered).toBe(false);
    await rabbitmq.ctl('set_vm_memory_high_watermark', '0.4');
    expect((await green) as string[]).toEqual(['before', 'green']);
    expect((await reading) as string[]).toContain('before');
    expect(await one.send(session, 'POST a', 'red')).toEqual(['before', 'green', 'red']);
    expect((await one.counters()).grants).toBeGreaterThan(before.grants!);
  });
});

it('a store and an app server end within their time and a second during a memory alarm', async () => {
  const deployment = await Deployment.create({ url: rabbitmq.url, partitions: 2 });
  try {
    const closeMs = 1_000;
    const store = await deployment.store({ STORE_CLOSE_MS: `${closeMs}` });
    const server = await deployment.server('server', { CLOSE_MS: `${closeMs}` });
    const held = newSession();
    await server.send(held, 'POST a', 'before');
    // Both publish until RabbitMQ takes nothing more.
    let isCalm = true;
    const load = (async () => {
      while (isCalm) await server.status(newSession(), 'POST a', 'load').catch(() => {});
    })();
    await rabbitmq.ctl('set_vm_memory_high_watermark', '0.0001');
    await server.program.says(/RabbitMQ takes no more frames for now/);
    isCalm = false;
    const grown = await server.count();
    const unanswered = server.status(held, 'POST a', 'never told');
    // It waits for a lock that is unconfirmed by now, or for the answer to its change.
    await expect.poll(async () => (await grown()).scopes, soon).toBeGreaterThan(0);
    const began = performance.now();
    await Promise.all([store.kill('SIGTERM', 60_000), server.program.kill('SIGTERM', 60_000)]);
    expect(performance.now() - began).toBeLessThan(closeMs + 1_000 + busyMs);
    expect(await store.stopped).toEqual({ code: 0, signal: null });
    expect(await unanswered).toBe(503);
    await load;
  } finally {
    await rabbitmq.ctl('set_vm_memory_high_watermark', '0.4');
    await deployment.stop();
  }
});
