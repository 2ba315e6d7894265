// The parts of a deployment may come up in any order: what is missing is said, what needs it waits, and when it comes
// all goes on by itself.
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { TcpProxy } from '../contract/tcp-proxy.js';
import { Deployment, newSession } from './deployment.js';

let deployment: Deployment;
beforeEach(async () => {
  deployment = await Deployment.create();
});
afterEach(() => deployment.stop());

it('RabbitMQ is not there: store and app server say so, without the password, and work when it comes', async () => {
  const proxy = await TcpProxy.start(deployment.brokerUrl);
  onTestFinished(() => proxy.stop());
  proxy.refuse();
  const url = new URL(proxy.url);
  url.username ||= 'guest';
  url.password ||= 'guest';
  const env = { AMQP_URL: url.href };
  const [store, server] = await Promise.all([
    deployment.store(env, /RabbitMQ at/),
    deployment.server('server', env),
  ]);
  for (const program of [store, server.program]) {
    const [line] = await program.says(/RabbitMQ at .* cannot be used.*/);
    expect(line).toContain(`RabbitMQ at amqp://${url.username}@${url.host} cannot be used`);
    expect(line).toContain('check that RabbitMQ runs there');
    expect(program.output()).not.toContain(`:${url.password}@`);
  }
  const answer = server.send(newSession(), 'POST a', 'red');
  await server.untilWaiting(1);

  proxy.accept();
  await store.says(/the store is ready/);
  expect(await answer).toEqual(['red']);
  for (const program of [store, server.program]) await program.says(/RabbitMQ at .* is back/);
});

it('the store is not there: the app server starts and says so, requests wait, and are served when it comes', async () => {
  const server = await deployment.server('server', { RENEW_MS: '500', REPEAT_MS: '500' });
  const session = newSession();
  const red = server.send(session, 'POST a', 'red');
  await server.untilWaiting(1);
  const green = server.send(session, 'POST a', 'green');
  await server.untilWaiting(2);
  await server.program.says(/no answer from the store for \d+ s; scopes wait for it/);

  await deployment.store();
  expect(await Promise.all([red, green])).toEqual([['red'], ['red', 'green']]);
  await server.program.says(/the store answers/);
});
