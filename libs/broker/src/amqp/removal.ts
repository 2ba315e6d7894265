/** Removes what a deployment has left on RabbitMQ: for demos, tests, and operators who move one. */
import { connect } from 'amqplib';
import { partitionQueueName } from './topology.js';

/** Deletes the deployment's exchange and its partition queues, with what waits in them. */
export async function removeAmqpDeployment(url: string, prefix: string, partitions: number): Promise<void> {
  const connection = await connect(url, { noDelay: true });
  connection.on('error', () => {});
  try {
    const channel = await connection.createChannel();
    for (let partition = 0; partition < partitions; partition++) {
      await channel.deleteQueue(partitionQueueName(prefix, partition));
    }
    await channel.deleteExchange(prefix);
  } finally {
    await connection.close().catch(() => {});
  }
}
