/** The broker: its port, its adapters, and the two small ports that every driver needs beside it. */
export { AmqpBroker } from './amqp/broker.js';
export { checkAmqp } from './amqp/connect.js';
export {
  amqpDefaults,
  amqpLimits,
  amqpPrefix,
  deploymentAt,
  localAmqpUrl,
  wrongInAddresses,
  type AmqpSecrets,
  type AmqpSettings,
} from './amqp/settings.js';
export { wrongInTls, type AmqpTls } from './amqp/tls.js';
export { removeAmqpDeployment } from './amqp/removal.js';
export { sessionPrefetch } from './broker.js';
export type {
  Enqueued,
  EnqueueOptions,
  Broker,
  BrokerCounters,
  Delivery,
  HolderClient,
  HolderLink,
  PartitionLink,
  PartitionServer,
  ServeOptions,
  StoreLink,
  StoreServer,
} from './broker.js';
export { keptAlive, systemClock, type Clock } from './clock.js';
export { IncidentLog } from './incidents.js';
export { calmLog, type Log } from './log.js';
export { MemoryBroker } from './memory/broker.js';
export { MemoryExchange, type MemoryExchangeSettings } from './memory/exchange.js';
