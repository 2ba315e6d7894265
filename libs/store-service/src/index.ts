/** The store as a Nest microservice: its settings from the environment, its module and its transport. */
export { Store } from '#store';
export { FrameContext, framePattern, FrameServer } from './frame-server.js';
export { StoreController } from './controller.js';
export { StoreModule } from './module.js';
export {
  describeStoreSettings,
  readStoreSettings,
  storeSettingRows,
  StoreSettingsError,
  type StoreSettings,
} from './settings.js';
