/** Opens a connection to RabbitMQ at one of several addresses, with secrets that are read at each try. */
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, credentials, type ChannelModel } from 'amqplib';
import { writeOnceATurn } from './one-write.js';
import { reasonOf, whatToCheck } from './reasons.js';
import { addressesOf, amqpDefaults, shownAddress, type AmqpSecrets, type AmqpSettings } from './settings.js';
import { wrongInTls } from './tls.js';

export type ConnectSettings = Pick<AmqpSettings, 'secrets' | 'name'> & { readonly connectTimeoutMs: number };

/** No address lets this process in. The message has the reasons, and what to check. */
class ConnectError extends Error {
  constructor(failures: readonly { address: URL; reason: string }[]) {
    const several = failures.length > 1;
    const told = failures.map(({ address, reason }) =>
      several ? `${shownAddress(address)}: ${reason}` : reason,
    );
    super(
      `(${told.join('; ')}); ${[...new Set(failures.map(({ reason }) => whatToCheck(reason)))].join('; ')}`,
    );
  }
}

/** Tries each address once, in an order that chance decides. `signal` also ends a connection that stands. */
export async function connectToOneOf(
  addresses: readonly URL[],
  settings: ConnectSettings,
  signal: AbortSignal,
): Promise<ChannelModel> {
  const failures: { address: URL; reason: string }[] = [];
  for (const address of shuffled(addresses)) {
    try {
      return await connectTo(address, settings, signal);
    } catch (error) {
      failures.push({ address, reason: reasonOf(error) });
    }
    if (signal.aborted) break;
  }
  throw new ConnectError(failures);
}

async function connectTo(
  address: URL,
  { secrets, name, connectTimeoutMs }: ConnectSettings,
  signal: AbortSignal,
): Promise<ChannelModel> {
  const { password, tls } = secrets ? await inTime(secrets, connectTimeoutMs, signal) : {};
  const wrong = tls && address.protocol === 'amqps:' ? wrongInTls(address.href, tls) : undefined;
  if (wrong) throw new Error(`tls.${wrong.setting} ${wrong.why}`);
  const user = address.username || address.password ? decodeURIComponent(address.username) : 'guest';
  const given = address.password ? decodeURIComponent(address.password) : undefined;
  const options = {
    noDelay: true,
    timeout: connectTimeoutMs,
    signal,
    credentials: credentials.plain(user, password ?? given ?? (address.username ? '' : 'guest')),
    clientProperties: { connection_name: name },
    ...tls,
  };
  const model = await connect(address.href, options);
  writeOnceATurn((model.connection as unknown as { stream: Duplex }).stream);
  return model;
}

/** A function of the application may never answer. */
async function inTime(
  secrets: NonNullable<AmqpSettings['secrets']>,
  limitMs: number,
  signal: AbortSignal,
): Promise<AmqpSecrets> {
  const over = new AbortController();
  const ends = AbortSignal.any([over.signal, signal]);
  const late = pause(limitMs, undefined, { signal: ends }).then(() => {
    throw new Error(`the password or the certificates were not read within ${limitMs} ms`);
  });
  try {
    return await Promise.race([secrets(), late]);
  } finally {
    late.catch(() => {});
    over.abort();
  }
}

/**
 * Resolves when a RabbitMQ at this address lets the user in. Otherwise the error says why not, without the
 * password.
 */
export async function checkAmqp(
  url: string,
  connectTimeoutMs: number = amqpDefaults.connectTimeoutMs,
): Promise<void> {
  const addresses = addressesOf(url);
  const settings = { connectTimeoutMs, name: 'check' };
  const model = await connectToOneOf(addresses, settings, new AbortController().signal).catch(
    (error: Error) => {
      throw new Error(
        `RabbitMQ at ${addresses.map(shownAddress).join(', ')} cannot be used ${error.message}`,
      );
    },
  );
  model.on('error', () => {});
  await model.close();
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
