/**
 * The claims C1 to C8 from outside: a store and four app servers as processes of their own, on a real
 * RabbitMQ, on Express and on Fastify. The tests decide which handlers are inside, and for how long
 * (app-server.ts).
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Deployment, newSession, settings, soon, type AppServer, type Session } from './deployment.js';

describe.each(settings)('on $platform, queues $queues $queueType', async (setting) => {
  const deployment = await Deployment.create(setting);
  let one: AppServer, two: AppServer, three: AppServer;
  /** Releases each lock as soon as no scope needs it. */
  let four: AppServer;
  let session: Session;

  beforeAll(async () => {
    await deployment.store();
    [one, two, three, four] = await Promise.all([
      deployment.server('one'),
      deployment.server('two'),
      deployment.server('three'),
      deployment.server('four', { HOLD_POLICY: 'until-idle' }),
    ]);
  });
  afterAll(async () => {
    const wrong = await deployment.wrongInTraces();
    await deployment.stop();
    expect(wrong).toEqual([]);
  });

  beforeEach(() => {
    session = newSession();
  });

  it('C1: several app servers reach the session data of one client; the store has the primary state', async () => {
    const env = { COOKIE: 'the secret that all of them sign with' };
    const [five, six] = await Promise.all([deployment.server('five', env), deployment.server('six', env)]);

    const welcome = await five.call({}, 'POST a', { mark: 'red' });
    const client = { cookie: welcome.headers.get('set-cookie')!.split(';')[0]! };
    expect(await six.send(client, 'POST a', 'green')).toEqual(['red', 'green']);
    expect(await five.send(client, 'POST a', 'blue')).toEqual(['red', 'green', 'blue']);

    await Promise.all([five.program.kill(), six.program.kill()]);
    const seven = await deployment.server('seven', env);
    expect(await seven.send(client, 'GET a')).toEqual(['red', 'green', 'blue']);
  });

  it('C2: the store grants locked access to one process; meanwhile no other process gets at the primary state', async () => {
    const red = await one.enter(session, 'POST a', 'red');
    // Not even for another attribute, or only for reading.
    const writing = two.enter(session, 'POST b', 'green');
    await deployment.untilWaiting(two, session);
    const reading = three.enter(session, 'GET a', 'blue');
    await deployment.untilWaiting(three, session);
    expect([await one.inside(), await two.inside(), await three.inside()]).toEqual([['red'], [], []]);

    await red.leave();
    const green = await writing;
    expect([await one.inside(), await two.inside(), await three.inside()]).toEqual([[], ['green'], []]);
    expect(await green.leave()).toEqual(['green']);
    const blue = await reading;
    expect(await blue.leave()).toEqual(['red']);
  });

  it('C3: after an access the process keeps the lock until it is asked to release it', async () => {
    await one.send(session, 'POST a', 'red');
    const counted = await one.count();
    await one.send(session, 'POST a', 'green');
    await one.send(session, 'GET a');
    expect(await counted()).toMatchObject({ servedFromHeldLock: 2, grants: 0, releases: 0, held: 0 });

    await two.send(session, 'GET a');
    expect(await counted()).toMatchObject({ recalls: 1, releases: 1, held: -1 });
  });

  it('C4: the store asks for release when another process waits, and the holder then releases', async () => {
    const red = await one.enter(session, 'POST a', 'red');
    const counted = await one.count();
    const arriving = two.enter(session, 'POST a', 'green');
    await expect.poll(counted, soon).toMatchObject({ recalls: 1 });
    // Running scopes finish first. New ones wait behind the other process.
    const later = one.send(session, 'POST a', 'blue');
    await one.untilWaiting(1);
    expect(await counted()).toMatchObject({ releases: 0 });

    await red.leave();
    const green = await arriving;
    expect(await counted()).toMatchObject({ recalls: 1, releases: 1 });
    await green.leave();
    expect(await later).toEqual(['red', 'green', 'blue']);
  });

  it('C5: a process may also release as soon as no thread needs the session any more', async () => {
    const counted = await four.count();
    const [red, green] = [
      await four.enter(session, 'POST a', 'red'),
      await four.enter(session, 'POST b', 'green'),
    ];
    await red.leave();
    expect(await counted()).toMatchObject({ releases: 0, held: 1 });
    await green.leave();
    expect(await counted()).toMatchObject({ releases: 1, held: 0 });

    expect(await one.send(session, 'GET a')).toEqual(['red']);
    expect(await counted()).toMatchObject({ recalls: 0 });
  });

  it('C6: the holding process locks single attributes for its threads; other threads cannot touch them meanwhile', async () => {
    const red = await one.enter(session, 'POST a', 'red');
    const green = await one.enter(session, 'POST b', 'green');
    const reading = [one.enter(session, 'GET a', 'blue'), one.enter(session, 'GET a', 'white')];
    await one.untilWaiting(2);
    expect(await one.inside()).toEqual(['red', 'green']);

    await red.leave();
    const readers = await Promise.all(reading);
    expect((await one.inside()).toSorted()).toEqual(['blue', 'green', 'white']);

    const whole = one.enter(session, 'POST all', 'black');
    await one.untilWaiting(1);
    await green.leave();
    for (const reader of readers) expect(await reader.leave()).toEqual(['red']);
    const black = await whole;
    expect(await black.leave()).toEqual({ a: ['red', 'black'], b: ['green', 'black'] });
  });

  it('C6, in a provider: a method locks further attributes for the rest of the scope', async () => {
    const red = await one.enter(session, 'POST b', 'red');
    const arriving = one.enter(session, 'POST a-then-b', 'green'); // has `a` already, and waits for `b`
    await one.untilWaiting(1);
    const behind = one.enter(session, 'POST a', 'blue');
    await one.untilWaiting(2);
    expect(await one.inside()).toEqual(['red']);

    await red.leave();
    const green = await arriving;
    expect(await one.inside()).toEqual(['green']);
    expect(await green.leave()).toEqual(['red', 'green']);
    const blue = await behind;
    expect(await blue.leave()).toEqual(['green', 'blue']);
  });

  it('C7: grants answer requests; a free lock is granted at once', async () => {
    await four.send(session, 'POST a', 'red'); // and has released it
    const counts = await Promise.all([one, two, three, four].map((server) => server.count()));
    expect(await one.send(session, 'POST a', 'green')).toEqual(['red', 'green']);

    const [mine, ...others] = await Promise.all(counts.map((counted) => counted()));
    expect(mine).toMatchObject({ grants: 1, repeats: 0, recalls: 0 });
    for (const other of others)
      expect(other).toMatchObject({ grants: 0, returns: 0, recalls: 0, releases: 0 });
  });

  it('C8: requests for a held lock are buffered, and granted in order on release', async () => {
    const red = await one.enter(session, 'POST a', 'red');
    const marks = ['red'];
    const waiting = [];
    for (const server of [three, four, two]) {
      const { name } = server.program;
      waiting.push({ server, name, visit: server.enter(session, 'POST a', name) });
      await deployment.untilWaiting(server, session);
    }

    await red.leave();
    for (const { name, visit } of waiting) {
      const visitor = await visit;
      const inside = await Promise.all([one, two, three, four].map((server) => server.inside()));
      expect(inside.flat()).toEqual([name]);
      marks.push(name);
      expect(await visitor.leave()).toEqual(marks);
    }
  });
});
