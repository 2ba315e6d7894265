/**
 * Certificates of a private authority, made by OpenSSL for one suite: for RabbitMQ on `localhost`, for a
 * client, and a stranger's.
 */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../scripts/services/programs.js';

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  /** The folder of all files. */
  readonly folder: string;
  readonly ca: string;
  readonly server: Pair;
  readonly client: Pair;
  /** Another authority, which signed none of these. */
  readonly stranger: string;
}

export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'locked-session-certificates-'));
  const file = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const authority = async (name: string) => {
    const subject = ['-subj', `/CN=${name}`, '-days', '2', '-nodes', '-newkey', 'rsa:2048'];
    await openssl('req', '-x509', ...subject, '-keyout', `${name}.key`, '-out', `${name}.pem`);
  };
  const signed = async (name: string, extensions: string): Promise<Pair> => {
    await writeFile(file(`${name}.ext`), extensions);
    const request = ['-subj', `/CN=${name}`, '-nodes', '-newkey', 'rsa:2048'];
    await openssl('req', ...request, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2'];
    await openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      ...by,
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.pem`,
    );
    return { cert: file(`${name}.pem`), key: file(`${name}.key`) };
  };
  await authority('ca');
  await authority('stranger');
  const server = await signed('server', 'subjectAltName = DNS:localhost\nextendedKeyUsage = serverAuth\n');
  const client = await signed('client', 'extendedKeyUsage = clientAuth\n');
  return { folder, ca: file('ca.pem'), server, client, stranger: file('stranger.pem') };
}

/** The settings of a client, as text. */
export async function pemOf(ca: string, client?: Pair) {
  const read = (path: string) => readFile(path, 'utf8');
  if (!client) return { ca: await read(ca) };
  return { ca: await read(ca), cert: await read(client.cert), key: await read(client.key) };
}
