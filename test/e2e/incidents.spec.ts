// What happens to a RabbitMQ: somebody deletes what is on it, its memory runs short, and somebody looks at its lists. On a private node, in both layouts of queues.
import { connect, type ChannelModel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPrivateRabbitmq, type PrivateRabbitmq } from '../../scripts/private-rabbitmq.js';
import { Deployment, newSession, type AppServer } from './deployment.js';

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
    await deployment.store({ STORE_LEASE_MS: '1000' });
    [one, two] = await Promise.all([deployment.server('one'), deployment.server('two')]);
    admin = await connect(rabbitmq.url);
  });
  afterAll(async () => {
    await admin.close();
    await deployment.stop();
  });

  /** What rabbitmqctl lists of this deployment. */
  const listed = async (what: string, ...columns: string[]) => {
    const lines = (await rabbitmq.ctl(what, '-q', ...columns)).trim().split('\n');
    return lines.filter((line) => line.includes(deployment.prefix)).map((line) => line.split('\t'));
  };

  it('its lists tell who is who, and that somebody waits for a session', async () => {
    const { prefix } = deployment;
    const session = newSession();
    const red = await one.enter(session, 'POST a', 'red');
    const green = two.enter(session, 'POST a', 'green');
    await deployment.untilWaiting(two, session);
    const names = (await listed('list_connections', 'client_properties')).join();
    expect(names).toMatch(new RegExp(`${prefix} store \\S+ \\d+`));
    expect(names.match(new RegExp(`${prefix} holder [\\w-]+`, 'g'))).toHaveLength(2);
    const consumers = await listed('list_consumers', 'queue_name', 'consumer_tag');
    const ofPartitions = consumers.filter(
      ([queue, tag]) => queue!.includes('.store.') && tag!.includes(' store '),
    );
    expect(ofPartitions).toHaveLength(2);
    const counted = await listed('list_queues', 'name', 'messages_unacknowledged');
    const waits = counted.filter(([, unacknowledged]) => Number(unacknowledged) > 0).map(([name]) => name);
    const waitsIn = queues === 'per-session' ? `.session.${session['x-session']}` : '.store.';
    expect(waits).toContainEqual(expect.stringContaining(prefix + waitsIn));
    await red.leave();
    await (await green).leave();
  });

  it('a queue or exchange that somebody deletes is made again, and all goes on', async () => {
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

  it('a memory alarm holds everybody up, with a line in the log; nothing is lost, and all goes on when it is over', async () => {
    const session = newSession();
    await one.send(session, 'POST a', 'before');
    const before = await one.counters();
    await rabbitmq.ctl('set_vm_memory_high_watermark', '0.0001');
    const green = two.send(session, 'POST a', 'green');
    await two.program.says(/RabbitMQ takes no more frames for now/);
    await one.program.says(/RabbitMQ takes no more frames for now/);
    // Its lease runs out: what it holds, too, it does not use without asking.
    await new Promise((resolve) => setTimeout(resolve, 1_200));
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
