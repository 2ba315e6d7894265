/**
 * An app server whose store speaks another version of the protocol: what its scopes and its log are told.
 */
import { pack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import type { Broker, HolderClient } from '#broker';
import { LockedSessions } from '#locked-session';
import { encodeStoreFrame, protocolVersion } from '#protocol';
import { holderDefaults } from '../world/deployment.js';
import { World } from '../world/world.js';
import { codeOf, run } from './scene.js';

const theirs = protocolVersion + 1;

/** A broker whose store answers each frame in its own version. */
async function appServer() {
  const world = new World(1);
  let client!: HolderClient;
  const store = { version: theirs };
  const answer = (partition: number) =>
    store.version === protocolVersion
      ? encodeStoreFrame({ key: '', parts: [{ partition, epoch: 1, messages: [] }] })
      : pack([store.version, 's', partition, new Map([['what follows', 'may be anything']])]);
  const broker: Broker = {
    counters: { framesSent: 0, framesReceived: 0, framesDropped: 0, reconnects: 0 },
    serve: () => Promise.reject(new Error('there are no stores here')),
    openStore: () => Promise.reject(new Error('there are no stores here')),
    join: async (holder, joined) => {
      client = joined;
      world.after(0, () => client.connected(holder));
      return {
        maxFrameBytes: Infinity,
        send: (partition) => Boolean(world.after(1, () => client.received(answer(partition)))),
        sendToStore: () => false,
        enqueue: async () => 'lost',
        close: async () => {},
      };
    },
    close: async () => {},
  };
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const ports = {
    broker,
    clock: world.clock,
    log: { log: note, warn: note, error: note },
    newId: () => 'unused',
  };
  const one = new LockedSessions('one', ports, holderDefaults);
  await one.start();
  const told = () => lines.filter((line) => line.includes('protocol version'));
  return { world, one, store, told };
}

describe('an app server whose store speaks another protocol version', () => {
  it('fails waiting scopes at once with both versions, and logs it once in ten minutes', async () => {
    const { world, one, store, told } = await appServer();
    const errors: Error[] = [];
    const visit = () =>
      codeOf(run(one, {}, () => {}).catch((error: Error) => Promise.reject(errors.push(error) && error)));
    const codes: string[] = [];
    for (let i = 0; i < 3; i++) {
      void visit().then((code) => codes.push(code));
      await world.run(() => codes.length > i, 100);
    }
    expect(codes).toEqual(['deployment', 'deployment', 'deployment']);
    const message = `the store speaks protocol version ${theirs}, but this process ${protocolVersion}`;
    expect(errors.map((error) => error.message)).toEqual(errors.map(() => expect.stringContaining(message)));
    expect(told()).toEqual([expect.stringContaining(message)]);

    store.version = protocolVersion; // the store was replaced
    let ended = '';
    void codeOf(run(one, { waitMs: 5_000 }, () => {})).then((code) => (ended = code));
    await world.run(() => ended !== '', 10_000);
    expect(ended).toBe('wait-timeout'); // the new store grants nothing, but holders understand it
    store.version = theirs; // the old one comes back
    for (let minutes = 0; minutes < 15; minutes++) {
      void visit();
      await world.pass(60_000);
    }
    expect(told()).toHaveLength(2);
  });
});
