/**
 * The parts of a deployment may start in any order. A missing one is named in the log, and the others wait
 * for it.
 */
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { TcpProxy } from '../contract/tcp-proxy.js';
import { Deployment, newSession } from './deployment.js';

let deployment: Deployment;
beforeEach(async () => {
  deployment = await Deployment.create();
});
afterEach(() => deployment.stop());

it('without RabbitMQ store and app server log so, without the password, and work when it comes', async () => {
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

it('without a store the app server starts and logs so, and requests wait until it comes', async () => {
  const server = await deployment.server('server', { RENEW_MS: '500', REPEAT_MS: '500' });
  const session = newSession();
  const red = server.send(session, 'POST a', 'red');
  await server.untilWaiting(1);
  const green = server.send(session, 'POST a', 'green');
  await server.untilWaiting(2);
  await server.program.says(/no answer from the store for \d+ s. Scopes wait for it/);

  await deployment.store();
  expect(await Promise.all([red, green])).toEqual([['red'], ['red', 'green']]);
  await server.program.says(/the store answers/);
});
