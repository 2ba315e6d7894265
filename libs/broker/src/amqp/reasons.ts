/** Translates errors of RabbitMQ and Node into texts that tell an operator what to do. */

/** The text of an error. Node leaves the message empty when it has tried several addresses of one host. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // OpenSSL wraps its few words in numbers and file names.
  const words = /:SSL routines:[^:]*:([^:]+):/.exec(error.message)?.[1];
  return words ?? (error.message || ('code' in error ? String(error.code) : error.name));
}

const checks: readonly (readonly [reason: RegExp, check: string])[] = [
  [/ACCESS.REFUSED/, 'check the user and the password'],
  // amqplib hides the text of RabbitMQ here. The cause is one of these three.
  [
    /ConnectionOpenOk|NOT.ALLOWED/,
    "check the virtual host at the end of the URL, the user's permissions on it, and RabbitMQ's limits " +
      'on connections',
  ],
  [
    /wrong version number|packet length too long|record layer failure/i,
    "this port speaks no TLS: use amqp://, or the port of RabbitMQ's listener for TLS",
  ],
  [
    /closed abruptly during opening handshake|ECONNRESET/i,
    'check that RabbitMQ runs there, and that the port is right: one for TLS needs amqps://',
  ],
  [
    /exceeds maxFrameSize|invalid frame|during handshake/i,
    'the program that listens there does not speak AMQP 0-9-1: check host and port',
  ],
  [
    /self.signed|unable to (get|verify)|certificate|altname|ssl|tls|alert|PEM/i,
    'check the certificates on both sides: who signed them, for which host, and that a client ' +
      'certificate is given where RabbitMQ asks for one',
  ],
  [/ENOTFOUND|EAI_AGAIN/, 'check the host name in the URL'],
  [/ENOENT|EACCES|EISDIR/, 'check the file of that name'],
];

/** What an operator should check first. */
export function whatToCheck(reason: string): string {
  const found = checks.find(([pattern]) => pattern.test(reason));
  return (
    found?.[1] ??
    'check that RabbitMQ runs there, that host and port are right, and that no firewall is between'
  );
}

/** The most bytes that RabbitMQ takes in one message, when it closed a channel because of a larger one. */
export function sizeLimitIn(reason: string): number | undefined {
  const limit = /message size \d+ is larger than (?:configured )?max size (\d+)/.exec(reason)?.[1];
  return limit === undefined ? undefined : Number(limit);
}

/** The setting of the store for an argument of its queues. */
const settingOf: Readonly<Record<string, string>> = {
  'x-queue-type': 'AMQP_QUEUE_TYPE',
  'x-max-length': 'AMQP_MAX_QUEUED_FRAMES',
};

/**
 * A text when only an operator can change the cause: queues, an exchange or the number of channels at
 * RabbitMQ. Undefined for any other error.
 */
export function setUpFault(error: unknown, prefix: string, channels: number): string | undefined {
  const reason = reasonOf(error);
  const limit = /No channels left to allocate/.exec(reason);
  if (limit)
    return (
      `RabbitMQ allows too few channels in one connection: the store needs ${channels}, one for each ` +
      'partition and two more. ' +
      `Set channel_max to ${channels} or more in rabbitmq.conf, or remove channelMax from the URL.`
    );
  const full = /cannot declare queue '.*': (queue limit in .* is reached)/.exec(reason);
  if (full)
    return `RabbitMQ makes no more queues: ${full[1]}. Raise that limit (rabbitmqctl set_vhost_limits), or delete queues that nobody needs.`;
  const other =
    /inequivalent arg '(.+?)' for (queue|exchange) '(.+?)' in vhost '(.+?)': received (.+?) but current is (.+?)"?$/.exec(
      reason,
    );
  if (!other) return undefined;
  const [, argument, what, name, host, wanted, current] = other as unknown as string[];
  const is = `RabbitMQ has the ${what} ${name} (virtual host ${host}) with ${argument} ${valueIn(current!)}, but the store needs ${valueIn(wanted!)}.`;
  const setting = settingOf[argument!];
  if (setting === undefined)
    return `${is} Another program has made it: delete it there, or choose another AMQP_PREFIX for store and app servers.`;
  const back = current === 'none' ? '' : `Set ${setting} back to ${valueIn(current!)}; or stop`;
  return `${is} ${back || 'Stop'} all stores, delete the queues ${prefix}.store.*, and start the stores again: nothing is lost, since app servers repeat what waits there.`;
}

/** RabbitMQ says `the value '5' of type 'signedint'`, or `'topic'`, or `none`. */
const valueIn = (text: string): string => /^(?:the value )?'(.*?)'/.exec(text)?.[1] ?? text;
