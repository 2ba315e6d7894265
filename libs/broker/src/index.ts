/** The broker: its port, its adapters, and the two small ports that every driver needs beside it. */
export { AmqpBroker, type AmqpSettings } from './amqp.broker.js';
export { wrongInTls, type AmqpTls } from './amqp.tls.js';
export { removeAmqpDeployment } from './amqp.removal.js';
export { sessionPrefetch } from './broker.js';
export type {
  Asked,
  AskOptions,
  Broker,
  BrokerCounters,
  Delivery,
  HolderClient,
  HolderLink,
  PartitionLink,
  PartitionServer,
  ServeOptions,
} from './broker.js';
export { systemClock, type Clock } from './clock.js';
export type { Log } from './log.js';
export { MemoryBroker } from './memory.broker.js';
export { MemoryExchange, type MemoryExchangeSettings } from './memory.exchange.js';
