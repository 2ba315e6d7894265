/** What a connection to RabbitMQ by TLS needs beside its amqps:// address; and what is wrong with it, told before anybody tries to connect. */
import { createSecureContext } from 'node:tls';

export interface AmqpTls {
  /** Who signed RabbitMQ's certificate, as PEM; without it whom Node trusts. */
  readonly ca?: string | Buffer | undefined;
  /** The certificate by which RabbitMQ knows this process, and its key, as PEM. */
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  readonly passphrase?: string | undefined;
  /** The name in RabbitMQ's certificate, when it is not the host of the address. */
  readonly servername?: string | undefined;
}

/** What is wrong, as the name of the setting and why; undefined when all is well. */
export function wrongInTls(url: string, tls: AmqpTls): { setting: keyof AmqpTls; why: string } | undefined {
  const { ca, cert, key, passphrase } = tls;
  const [given] = Object.entries(tls).find(([, value]) => value !== undefined) ?? [];
  if (given !== undefined && !url.startsWith('amqps:'))
    return {
      setting: given as keyof AmqpTls,
      why: 'is of no use without an address that begins with amqps://',
    };
  if (cert !== undefined && key === undefined)
    return { setting: 'key', why: 'must be given with the certificate' };
  if (key !== undefined && cert === undefined) return { setting: 'cert', why: 'must be given with the key' };
  const parts = { ca: { ca }, cert: { cert }, key: { key, passphrase } };
  for (const [setting, part] of Object.entries(parts)) {
    if (part[setting as keyof typeof part] === undefined) continue;
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
