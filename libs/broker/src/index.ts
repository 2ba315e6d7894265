/** The broker: its port, its adapters, and the two small ports that every driver needs beside it. */
export type {
  Broker,
  Delivery,
  HolderClient,
  HolderLink,
  PartitionLink,
  PartitionServer,
  ServeOptions,
} from './broker.js';
export { systemClock, type Clock } from './clock.js';
export type { Log } from './log.js';
