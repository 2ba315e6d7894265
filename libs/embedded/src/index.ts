/** The embedded mode: store and broker inside the application's process. */
export { EmbeddedLockedSessionModule, type EmbeddedOptions } from './module.js';
export { embeddedSettingRows } from './settings.js';
