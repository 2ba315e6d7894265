/** The messages that a session costs while it stays on one server, counted by the server and at RabbitMQ. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HolderFrame } from '#protocol';
import { messagesOf } from './broker-side.js';
import { Deployment, newSession, settings, type AppServer, type Session } from './deployment.js';

describe.each(settings)('on $platform, queues $queues $queueType', async (setting) => {
  const deployment = await Deployment.create({ partitions: 1, ...setting });
  let server: AppServer;
  let session: Session;

  beforeAll(async () => {
    await deployment.store();
    // No renewal and no repeat falls into a test, where it would be counted.
    server = await deployment.server('server', { RENEW_MS: '60000', REPEAT_MS: '60000' });
  });
  afterAll(() => deployment.stop());

  beforeEach(async () => {
    session = newSession();
    await server.send(session, 'POST a', 'first');
  });

  it('reads after the first request send no message', async () => {
    const counted = await server.count();
    const frames = await deployment.broker.listen();
    for (let read = 0; read < 20; read++) expect(await server.send(session, 'GET a')).toEqual(['first']);
    expect(await counted()).toMatchObject({ servedWithoutMessage: 20, messagesSent: 0, messagesReceived: 0 });

    // The next frame of this server is the first since then.
    await server.send(session, 'POST a', 'second');
    expect(kinds(await frames.next())).toEqual(['commit']);
  });

  it('a change is one round trip', async () => {
    const counted = await server.count();
    const frames = await deployment.broker.listen();
    for (const mark of ['second', 'third']) await server.send(session, 'POST a', mark);
    expect(await counted()).toMatchObject({
      framesSent: 2,
      messagesSent: 2,
      framesReceived: 2,
      messagesReceived: 2,
    });
    expect([kinds(await frames.next()), kinds(await frames.next())]).toEqual([['commit'], ['commit']]);
  });
});

const kinds = ({ value }: IteratorResult<HolderFrame, never>) => messagesOf(value).map(({ kind }) => kind);
