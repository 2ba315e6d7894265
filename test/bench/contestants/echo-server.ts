/** The other end of the echo: acknowledges each message and sends its bytes back. */
import { connect } from 'amqplib';
import { connection } from './limit.js';

const { AMQP_URL, QUEUE } = process.env;
const channel = await (await connect(AMQP_URL!, connection)).createChannel();
await channel.assertQueue(QUEUE, { autoDelete: true });
await channel.prefetch(1_024);
await channel.consume(QUEUE!, (message) => {
  const { replyTo, correlationId } = message!.properties as { replyTo: string; correlationId: string };
  channel.sendToQueue(replyTo, message!.content, { correlationId });
  channel.ack(message!);
});
console.log('ready');
