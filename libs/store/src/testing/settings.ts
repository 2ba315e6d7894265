/** The settings of a store in tests: small limits, and no pause that a test would notice. */
import { tombstoneMs, type StoreCoreSettings } from '../store.js';

export const testSettings: StoreCoreSettings = {
  partitions: 1,
  leaseMs: 5_000,
  recallTimeoutMs: 10_000,
  turnMs: 10,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 60_000,
  tombstoneMs,
  destroyedNoticeMs: 60_000,
  expiryScanMs: 60_000,
  waitersPerSession: 2,
  waitersPerPartition: 2,
  window: 1,
  closeMs: 5_000,
  standbyPollMs: 50,
  endedGrants: 8,
  cacheBytes: 1_000_000,
  retryMinMs: 1,
  retryMaxMs: 10,
};
