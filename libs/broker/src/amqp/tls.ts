/**
 * What a connection to RabbitMQ by TLS needs beside its amqps:// address, and a check of it that comes before
 * the first try to connect.
 */
import { createSecureContext } from 'node:tls';

export interface AmqpTls {
  /** The certificates that may sign that of RabbitMQ. Without it those count that Node trusts. */
  readonly ca?: string | Buffer | undefined;
  /** The certificate by which RabbitMQ knows this process. */
  readonly cert?: string | Buffer | undefined;
  /** The key of that certificate. */
  readonly key?: string | Buffer | undefined;
  /** The passphrase of the key, when it is encrypted. */
  readonly passphrase?: string | undefined;
  /** The name in the certificate of RabbitMQ, when it is not the host of the address. */
  readonly servername?: string | undefined;
}

/** What is wrong, as the name of the setting and why; undefined when all is well. */
export function wrongInTls(
  url: string | readonly string[],
  tls: AmqpTls,
): { setting: keyof AmqpTls; why: string } | undefined {
  const { ca, cert, key, passphrase } = tls;
  const given = Object.keys(tls).find((setting) => tls[setting as keyof AmqpTls] !== undefined);
  if (given !== undefined && !/(^|,)\s*amqps:/.test(String(url)))
    return {
      setting: given as keyof AmqpTls,
      why: 'is of no use without an address that begins with amqps://',
    };
  if (cert !== undefined && key === undefined)
    return { setting: 'key', why: 'must be given with the certificate' };
  if (key !== undefined && cert === undefined) return { setting: 'cert', why: 'must be given with the key' };
  const parts = { ca: { ca }, cert: { cert }, key: { key, passphrase } };
  for (const [setting, part] of Object.entries(parts)) {
    if (tls[setting as keyof AmqpTls] === undefined) continue;
    try {
      createSecureContext(part);
    } catch (error) {
      return {
        setting: setting as keyof AmqpTls,
        why: `is not PEM that can be used: ${(error as Error).message}`,
      };
    }
  }
  return undefined;
}
