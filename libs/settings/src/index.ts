/** Settings: what the store's environment and the options of the modules have in common. */
export { settingRows, whole, wholeInText, type SettingRow } from './setting.js';
export { shown } from './shown.js';
export { wrongOptions, wrongWhole } from './wrong-options.js';
