/** The store: what keeps the primary state of every session and gives out the locks. */
export { PartitionDriver } from './partition-driver.js';
export type { Dispatch } from './handover.js';
export { Store, tombstoneMs, type StoreCoreSettings, type StorePorts } from './store.js';
