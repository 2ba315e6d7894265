/** What timers, the broker and loggers throw goes no further. */
import { describe, expect, it } from 'vitest';
import type { Broker, Clock, HolderClient, HolderLink, Log } from '#broker';
import { guarded } from './guarded.js';

const fail = () => {
  throw new Error('deliberate');
};

function fakes(log: Log) {
  const tasks: (() => void)[] = [];
  const clients: HolderClient[] = [];
  const clock: Clock = {
    now: () => ({ mono: 0, wall: 0 }),
    soon: (task) => void tasks.push(task),
    afterPromises: (task) => void tasks.push(task),
    keepAlive: () => () => {},
    after: (_delayMs, task) => {
      tasks.push(task);
      return () => {};
    },
  };
  const join: Broker['join'] = async (_holder, client) => {
    clients.push(client);
    return {} as HolderLink;
  };
  return { tasks, clients, ports: guarded({ broker: { join }, clock, log }) };
}

describe('what fails behind the border', () => {
  it('is logged with its place and its stack, and does not go past it', async () => {
    const lines: string[] = [];
    const log: Log = { log: fail, warn: fail, error: (line) => void lines.push(line) };
    const { tasks, clients, ports: guardedPorts } = fakes(log);
    guardedPorts.clock.soon(fail);
    guardedPorts.clock.after(5, fail);
    await guardedPorts.broker.join('h', {
      connected: fail,
      disconnected: fail,
      received: fail,
      returned: fail,
    });
    for (const task of tasks) expect(task).not.toThrow();
    const [client] = clients;
    expect(() => {
      client!.connected('q');
      client!.disconnected('why');
      client!.received(new Uint8Array());
      client!.returned('k');
    }).not.toThrow();
    const places = ['the end of a turn', 'a timer', 'a new connection', 'a lost connection'].concat([
      'a frame',
      'a frame that came back',
    ]);
    expect(lines).toEqual(
      places.map(
        (place) => expect.stringMatching(`^${place} was not handled.* Error: deliberate\n +at `) as unknown,
      ),
    );
  });

  it("is not made worse by the application's logger", () => {
    const { ports: guardedPorts, tasks } = fakes({ log: fail, warn: fail, error: fail });
    expect(() => guardedPorts.log.warn('x')).not.toThrow();
    guardedPorts.clock.soon(fail);
    expect(() => tasks[0]!()).not.toThrow();
  });
});
