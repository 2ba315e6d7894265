/** The store: what keeps the primary state of every session and gives out the locks. */
export { PartitionDriver, type MachineFactory } from './partition.driver.js';
export { FrameContext, framePattern, FrameServer } from './frame.server.js';
export { Store, tombstoneMs, type Dispatch, type StoreCoreSettings, type StorePorts } from './store.js';
export { StoreController } from './store.controller.js';
export { StoreModule } from './store.module.js';
export {
  describeStoreSettings,
  readStoreSettings,
  StoreSettingsError,
  type StoreSettings,
} from './store.settings.js';
