/**
 * Rule 15 on each adapter: sessions that became due without a store are served to no holder, and removed with
 * the first claim.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MemoryBroker, MemoryExchange, systemClock } from '#broker';
import {
  decodeStoreFrame,
  encodeHolderFrame,
  type HolderMessage,
  type StoreMessage,
  type Token,
} from '#protocol';
import type { SessionRepository } from '#repository';
import { Store, type StoreCoreSettings } from '#store';
import { stored, type Fixture } from './repository.fixture.js';

const settings: StoreCoreSettings = {
  partitions: 1,
  leaseMs: 5_000,
  recallTimeoutMs: 10_000,
  turnMs: 10,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 3_600_000,
  tombstoneMs: 2_400_000,
  destroyedNoticeMs: 60_000,
  expiryScanMs: 3_600_000,
  waitersPerSession: 8,
  waitersPerPartition: 8,
  window: 8,
  closeMs: 5_000,
  standbyPollMs: 50,
  endedGrants: 8,
  cacheBytes: 1_000_000,
  retryMinMs: 1,
  retryMaxMs: 10,
};

const ids = Array.from({ length: 32 }, (_, i) => `s${i}`);

const acquire = (session: string, request: number) =>
  ({ kind: 'acquire', session, request, mode: 'exclusive', waitMs: 5_000 }) as const;
const release = (session: string, token: Token) =>
  ({ kind: 'release', session, token, seq: 2, set: new Map(), removed: [] }) as const;

export function expiryContract(name: string, make: () => Promise<Fixture>): void {
  let fixture: Fixture;
  beforeEach(async () => void (fixture = await make()));
  afterEach(() => fixture.dispose());

  it(`${name}: rule 15: serves none of 32 sessions that became due without a store, and removes them after the first claim`, async () => {
    const { repository } = fixture;
    let aheadMs = 0;
    const now = () => ({ mono: systemClock.now().mono, wall: systemClock.now().wall + aheadMs });
    const log = { log: () => {}, warn: () => {}, error: () => {} };
    const exchange = new MemoryExchange({ clock: systemClock });
    const storeFor = async <T>(use: () => Promise<T>): Promise<T> => {
      const ports = { broker: new MemoryBroker(exchange), repository: keptOpen(repository), log };
      const store = new Store({ ...ports, clock: { ...systemClock, now } }, settings);
      await store.start();
      const result = await use();
      await store.stop();
      return result;
    };
    const heard: StoreMessage[] = [];
    let queue = '';
    const link = await new MemoryBroker(exchange).join('h', {
      connected: (its) => void (queue = its),
      disconnected: () => {},
      returned: () => {},
      received: (bytes) => void heard.push(...decodeStoreFrame(bytes).parts.flatMap((part) => part.messages)),
    });
    const answers = async (...messages: HolderMessage[]) => {
      heard.length = 0;
      link.send(0, encodeHolderFrame({ holder: 'h', queue, parts: [{ partition: 0, epoch: 0, messages }] }));
      await expect.poll(() => heard).toHaveLength(messages.length);
      return heard;
    };

    await storeFor(async () => {
      await expect.poll(() => queue).not.toBe('');
      const create = new Map([['user', Buffer.from('anna')]]);
      const made = await answers(...ids.map((session, i) => ({ ...acquire(session, i + 1), create })));
      const grants = made.filter((message) => message.kind === 'grant');
      await answers(...grants.map(({ session, token }) => release(session, token)));
      expect(Object.keys(await stored(repository, 0, ids))).toHaveLength(32);
    });
    aheadMs = settings.ttlMs * 2;
    await storeFor(async () => {
      expect(await answers(acquire('s7', 100))).toMatchObject([{ kind: 'refused', why: 'unknown-session' }]);
      await expect.poll(() => stored(repository, 0, ids)).toEqual({});
    });
    await link.close();
  });
}

/** The fixture's repository, protected from the store's close(). */
function keptOpen(repository: SessionRepository): SessionRepository {
  return {
    open: async () => {},
    deployment: () => repository.deployment(),
    claim: (...of) => repository.claim(...of),
    load: (...of) => repository.load(...of),
    due: (...of) => repository.due(...of),
    apply: (...of) => repository.apply(...of),
    applyAll: (...of) => repository.applyAll(...of),
    close: async () => {},
  };
}
