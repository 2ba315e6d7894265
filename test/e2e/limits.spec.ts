/**
 * Limits of RabbitMQ: the store names the fault and the remedy in one message, and disturbs no other session.
 * On a private node with narrow limits.
 */
import { connect, type Channel, type ChannelModel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startPrivateRabbitmq, type PrivateRabbitmq } from '../../scripts/services/private-rabbitmq.js';
import {
  Deployment,
  newSession,
  runStore,
  type AppServer,
  type Program,
  type Session,
} from './deployment.js';

const partitions = 4;
const maxMessageBytes = 20_000;
const maxChannels = 8;

let rabbitmq: PrivateRabbitmq;
let admin: ChannelModel;
let channel: Channel;
beforeAll(async () => {
  const conf = [`max_message_size = ${maxMessageBytes}`, `channel_max = ${maxChannels}`];
  rabbitmq = await startPrivateRabbitmq({ conf });
  admin = await connect(rabbitmq.url);
  channel = await admin.createChannel();
});
afterAll(async () => {
  await admin.close();
  await rabbitmq.stop();
});

/** The number of matching lines in the log. */
const count = ({ output }: Program, pattern: RegExp) =>
  output()
    .split('\n')
    .filter((line) => pattern.test(line)).length;

describe('queues that exist with other arguments', () => {
  let deployment: Deployment;
  beforeAll(async () => {
    deployment = await Deployment.create({ url: rabbitmq.url, partitions });
    const store = await deployment.store();
    await store.kill();
  });
  afterAll(() => deployment.stop());

  it.each([
    ['AMQP_QUEUE_TYPE', 'quorum', 'x-queue-type classic', 'back to classic'],
    ['AMQP_MAX_QUEUED_FRAMES', '5000', 'x-max-length 100000', 'back to 100000'],
  ])('end the start: one message names queue, argument and way out (%s)', async (name, value, is, back) => {
    const { code, stderr, stdout } = await runStore(deployment.env({ [name]: value }));
    expect(code).toBe(1);
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`RabbitMQ has the queue ${deployment.prefix}.store.`);
    expect(lines[0]).toContain(
      `with ${is}, but the store needs ${value}. Set ${name} ${back}; or stop all stores`,
    );
    expect(stdout + stderr).not.toMatch(/MaxListeners|WARN/);
  });

  it('end the start when another program has made them', async () => {
    const prefix = `${deployment.prefix}.foreign`;
    await channel.assertExchange(prefix, 'topic');
    const { code, stderr } = await runStore(deployment.env({ AMQP_PREFIX: prefix }));
    await channel.deleteExchange(prefix);
    expect(code).toBe(1);
    expect(stderr).toContain(`RabbitMQ has the exchange ${prefix} (virtual host /) with type topic`);
    expect(stderr).toContain('choose another AMQP_PREFIX');
  });

  it('give one message while the store runs, and one when they are gone, and other partitions are served', async () => {
    const store = await deployment.store();
    onTestFinished(() => store.kill('SIGKILL'));
    const server = await deployment.server('server');
    onTestFinished(() => server.program.kill('SIGKILL'));
    const queue = `${deployment.prefix}.store.0`;
    // This test makes the queue anew before the store does.
    await retaken(queue);
    await store.says(
      /The channel of partition 0 ended \(RabbitMQ has the queue .* Set AMQP_MAX_QUEUED_FRAMES back/,
    );
    for (let session: Session; ;) {
      session = newSession();
      if (deployment.partitionOf(session) === 0) continue;
      expect(await server.send(session, 'POST a', 'red')).toEqual(['red']);
      break;
    }
    await channel.deleteQueue(queue);
    await store.says(/The channel of partition 0 is back/);
    expect(count(store, /partition 0/)).toBeLessThanOrEqual(4);
    expect(store.output()).not.toContain('MaxListeners');
  });

  async function retaken(queue: string): Promise<void> {
    for (;;) {
      const own = await admin.createChannel();
      own.on('error', () => {});
      await own.deleteQueue(queue);
      const options = {
        durable: true,
        arguments: {
          'x-queue-type': 'classic',
          'x-single-active-consumer': true,
          'x-overflow': 'reject-publish',
          'x-max-length': 5_000,
        },
      };
      const isMine = await own.assertQueue(queue, options).then(
        () => true,
        () => false,
      );
      if (isMine) return own.close();
    }
  }
});

it('too few channels end the start with one message that names the limit and the need', async () => {
  const deployment = await Deployment.create({ url: rabbitmq.url, partitions: 16 });
  onTestFinished(() => deployment.stop());
  const { code, stderr } = await runStore(deployment.env());
  expect(code).toBe(1);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(stderr).toContain('the store needs 18, one for each partition and two more. Set channel_max to 18');
});

describe.each(['partitioned', 'per-session'] as const)(
  'larger than max_message_size, queues %s',
  (queues) => {
    const long = 'x'.repeat(12_000); // two of them exceed the limit
    let deployment: Deployment;
    let store: Program;
    let one: AppServer, two: AppServer;
    beforeAll(async () => {
      deployment = await Deployment.create({ url: rabbitmq.url, partitions: 1, queues });
      store = await deployment.store();
      [one, two] = await Promise.all([deployment.server('one'), deployment.server('two')]);
    });
    afterAll(() => deployment.stop());

    it('refuses a change by 413 and names it in the log, while this session and others are served', async () => {
      const [session, other] = [newSession(), newSession()];
      await one.send(session, 'POST a', 'red');
      const inside = await one.enter(other, 'POST a', 'meanwhile');
      expect(await one.status(session, 'POST all', long)).toBe(413);
      expect(await one.status(session, 'POST all', long), 'the limit is known by now').toBe(413);
      expect(await one.status(newSession(), 'POST all', long), 'a new session').toBe(413);
      expect(await inside.leave(), 'its change is durable').toEqual(['meanwhile']);
      expect(await one.send(session, 'POST a', 'green')).toEqual(['red', 'green']);
      expect(await two.send(session, 'POST a', 'blue')).toEqual(['red', 'green', 'blue']);
      await one.program.says(
        new RegExp(`session ${session['x-session']}: a change is refused: .*max_message_size`),
      );
      // It learns the limit by the loss of one channel, and loses no other. The log reports it a moment
      // later.
      await one.program.says(/The channel of holder .* ended/);
      expect(count(one.program, /The channel of holder .* ended/)).toBe(1);
    });

    it('refuses by 413 a session that cannot be granted and names it in the log, while others are served', async () => {
      const session = newSession();
      await one.send(session, 'POST a', long);
      await one.send(session, 'POST b', long);
      const refused = two.status(session, 'GET a');
      const other = newSession();
      expect(await two.send(other, 'POST a', 'red')).toEqual(['red']);
      expect(await refused).toBe(413);
      expect(await two.status(session, 'POST a', 'again')).toBe(413);
      await store.says(new RegExp(`session ${session['x-session']} cannot be granted: .*max_message_size`));
      await store.says(/The channel of the store ended/); // logged a moment later
      expect(count(store, /The channel of the store ended/)).toBe(1);
      expect(await one.send(other, 'POST a', 'green')).toEqual(['red', 'green']);
    });
  },
);
