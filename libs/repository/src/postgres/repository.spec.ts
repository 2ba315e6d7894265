/**
 * The repository in PostgreSQL at a server that does not answer. What it does on a real one is in
 * test/contract.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { PostgresRepository } from './repository.js';

it('close ends an opening at a server that never answers, and lets go of it', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const repository = new PostgresRepository({
    url: `postgres://user@127.0.0.1:${port}/shop`,
    deployment: 'ours',
    connectTimeoutMs: 300,
  });
  const opening = repository.open().catch((error: unknown) => error);
  const [socket] = (await once(server, 'connection')) as [Socket];
  const ended = once(socket.on('error', () => {}).resume(), 'close');
  await repository.close();
  expect(await opening).toMatchObject({ message: expect.stringMatching(/closed before it was open$/) });
  await ended;
});

/** A message of PostgreSQL's protocol to its client. */
function message(type: string, ...parts: readonly (string | number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  const head = Buffer.from(`${type}....`);
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const ready = message('Z', 'I');
const types = { number: [0, 0, 0, 23], boolean: [0, 0, 0, 16], string: [0, 0, 0, 25] };

/** The answer to a query: one row. */
function answer(row: Readonly<Record<string, string | number | boolean>>): Buffer {
  const cells = Object.entries(row);
  const columns = cells.flatMap(([name, value]) => [
    `${name}\0`,
    [0, 0, 0, 0, 0, 0, ...types[typeof value as keyof typeof types], 0, 0, 0, 0, 0, 0, 0, 0],
  ]);
  const values = cells.flatMap(([, value]) => {
    const text = typeof value === 'boolean' ? String(value)[0]! : String(value);
    return [[0, 0, 0, text.length], text];
  });
  const count = [0, cells.length];
  return Buffer.concat([
    message('T', count, ...columns),
    message('D', count, ...values),
    message('C', 'SELECT 1\0'),
    ready,
  ]);
}

it('an opening that was closed takes no claim from the one after it, when its connection ends', async () => {
  const rows = {
    'SELECT version': { version: 3, program: '0.1.0', deployment: 'ours' },
    'SELECT * FROM locked_session.claim(': {
      deployment: 'ours',
      epoch: '7',
      previous: '0',
      longest_lease_ms: '0',
      partitions: 1,
      hash: 1,
    },
    'SELECT * FROM locked_session.apply(': { partition: 0, epoch: '7', claimed: true },
  };
  let isMute = true;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', [0, 0, 0, 0]), ready]));
      socket.on('data', (bytes) => {
        server.emit('query', socket);
        if (isMute) return;
        const [, row] = Object.entries(rows).find(([part]) => bytes.includes(part)) ?? [];
        if (row) socket.write(answer(row));
      });
    });
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `postgres://user@127.0.0.1:${port}/shop`;
  const repository = new PostgresRepository({ url, deployment: 'ours', statementTimeoutMs: 100 });

  const opening = repository.open().catch((error: unknown) => error);
  const [first] = (await once(server, 'query')) as [Socket];
  const ended = once(first, 'close');
  await repository.close();
  await opening;
  isMute = false;
  await repository.open();
  const { epoch } = await repository.claim(0, { partitions: 1, hash: 1, leaseMs: 1_000 });
  await ended;
  await repository.apply(0, epoch, []);
  await repository.close();
});
