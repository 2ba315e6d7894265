/**
 * The store of the bare pipeline: consumes one queue, writes all that came in one turn in one batch of
 * LevelDB, two rows a change and one a grant, and then answers each process with one frame. Locks are granted
 * first come, first served.
 */
import { ClassicLevel } from 'classic-level';
import { connect } from 'amqplib';
import { pack, unpack } from 'msgpackr';
import { connection, type Answer, type Ask } from './limit.js';

/** Who has a session's lock, and who waits for it. */
interface Lock {
  holder: string | undefined;
  isRecalled: boolean;
  readonly waiters: string[];
  readonly attributes: Record<string, Uint8Array>;
}

const { AMQP_URL, QUEUE, DIRECTORY } = process.env;
const prefetch = 1_024;

const database = new ClassicLevel<string, Uint8Array>(DIRECTORY!, { valueEncoding: 'view' });
await database.open();
const channel = await (await connect(AMQP_URL!, connection)).createChannel();
await channel.assertQueue(QUEUE, { autoDelete: true });
await channel.prefetch(prefetch);

const locks = new Map<string, Lock>();
let rows: (readonly [key: string, value: Uint8Array])[] = [];
let answers = new Map<string, Answer[]>();
let lastTag = 0;
let isWriting = false;
let arrived: { readonly holder: string; readonly asks: readonly Ask[] }[] = [];

await channel.consume(QUEUE!, (message) => {
  lastTag = message!.fields.deliveryTag;
  arrived.push({ holder: message!.properties.replyTo as string, asks: unpack(message!.content) as Ask[] });
  if (!isWriting) {
    isWriting = true;
    setImmediate(() => void writeBatches());
  }
});
console.log('ready');

async function writeBatches(): Promise<void> {
  for (; arrived.length > 0;) {
    const tag = lastTag;
    for (const { holder, asks } of arrived) for (const ask of asks) handle(holder, ask);
    arrived = [];
    const [batch, toSend] = [rows, answers];
    rows = [];
    answers = new Map();
    if (batch.length > 0) {
      // A batch that is given as an array costs several times as much.
      const chained = database.batch();
      for (const [key, value] of batch) chained.put(key, value);
      await chained.write();
    }
    for (const [holder, frame] of toSend) channel.sendToQueue(holder, pack(frame));
    channel.ack({ fields: { deliveryTag: tag } } as never, true);
  }
  isWriting = false;
}

function handle(holder: string, ask: Ask): void {
  const [kind, session] = ask;
  const lock = lockOf(session);
  if (kind === 'acquire') {
    lock.waiters.push(holder);
    grantNext(session, lock);
  } else if (kind === 'release') {
    lock.holder = undefined;
    grantNext(session, lock);
  } else {
    const [, , n, set] = ask;
    Object.assign(lock.attributes, set);
    rows.push([`head ${session}`, pack([holder, n])]);
    rows.push([`state ${session}`, pack(set)]);
    answer(holder, ['changed', n]);
  }
}

function lockOf(session: string): Lock {
  let lock = locks.get(session);
  if (!lock) {
    lock = { holder: undefined, isRecalled: false, waiters: [], attributes: {} };
    locks.set(session, lock);
  }
  return lock;
}

function grantNext(session: string, lock: Lock): void {
  if (lock.holder === undefined) {
    const next = lock.waiters.shift();
    if (next === undefined) return;
    lock.holder = next;
    lock.isRecalled = false;
    rows.push([`head ${session}`, pack([next, 0])]);
    answer(next, ['granted', session, lock.attributes]);
  }
  if (lock.waiters.length > 0 && !lock.isRecalled) {
    lock.isRecalled = true;
    answer(lock.holder, ['recalled', session]);
  }
}

function answer(holder: string, what: Answer): void {
  const frame = answers.get(holder);
  if (frame) frame.push(what);
  else answers.set(holder, [what]);
}
