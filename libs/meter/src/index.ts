/** The meter: how many updates a session store loses, counted in an application as it is. */
export { lostUpdateMeter, type LostUpdateMeter, type MeteredStore } from './meter.js';
export { mergeReports, reportText, type MeterCounts, type MeterReport } from './report.js';
export { hookFastify, lostUpdateMeterFastify } from './requests.js';
export { meterSettingRows, type LostUpdateMeterOptions } from './settings.js';
