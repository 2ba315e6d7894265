/** The in-memory broker keeps the promises of the port `Broker`. */
import { MemoryBroker, MemoryExchange } from '#broker';
import { brokerContract } from './broker.contract.js';

brokerContract('in memory', async (options) => {
  const exchange = new MemoryExchange(options);
  const brokers: MemoryBroker[] = [];
  return {
    async party() {
      const broker = new MemoryBroker(exchange);
      brokers.push(broker);
      return { broker, cut: () => broker.cut() };
    },
    async stop() {
      await Promise.all(brokers.map((broker) => broker.close()));
    },
  };
});
