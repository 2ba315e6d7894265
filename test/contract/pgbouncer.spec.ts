/**
 * The repository in PostgreSQL keeps the contract behind pgbouncer, in each of its modes. There each
 * transaction may have another connection to the server, and a failure of the server may end no connection of
 * the client.
 */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { EpochLostError, RepositoryError } from '#repository';
import { startPrivatePgbouncer, type PrivatePgbouncer } from '../../scripts/services/private-pgbouncer.js';
import { startPrivatePostgres } from '../../scripts/services/private-postgres.js';
import { busyMs } from '../fault/figures.js';
import {
  databaseUrl,
  holdUpWrites,
  inOwnSchema,
  opened,
  ownSchema,
  sql,
  stoppedWriter,
} from './postgres.fixture.js';
import { expiryContract } from './expiry.contract.js';
import { repositoryContract } from './repository.contract.js';
import { lastingRepositoryContract } from './repository.lasting.js';
import { deployment, stored, write } from './repository.fixture.js';

describe.each(['session', 'transaction', 'statement'] as const)('behind pgbouncer, pooling by %s', (mode) => {
  let pgbouncer: PrivatePgbouncer;
  beforeAll(async () => {
    pgbouncer = await startPrivatePgbouncer(databaseUrl, mode);
  });
  afterAll(() => pgbouncer?.stop());

  const behind = () => inOwnSchema({ url: pgbouncer.url })();
  repositoryContract('PostgresRepository', behind, { runs: 10 });
  lastingRepositoryContract('PostgresRepository', behind);
  expiryContract('PostgresRepository', behind);

  it('ends a statement that takes too long, without a limit for other clients', async () => {
    const schema = ownSchema();
    const repository = await opened({
      schema,
      url: pgbouncer.url,
      statementTimeoutMs: 2_000,
      connections: 2,
    });
    const { epoch } = await repository.claim(0, deployment);
    const release = await holdUpWrites(schema);
    await expect(repository.apply(0, epoch, [write('s', 'x', { a: '1' })])).rejects.toThrow(
      /it took too long.*statement timeout/,
    );
    await release();
    const limits = await Promise.all(
      Array.from({ length: 4 }, () => sql('SHOW statement_timeout', pgbouncer.url)),
    );
    expect(limits).toEqual(limits.map(() => [{ statement_timeout: '0' }]));
    await repository.apply(0, (await repository.claim(0, deployment)).epoch, [write('s', 'y')]);
    expect(await stored(repository, 0, ['s'])).toEqual({ s: ['y', {}] });
  });

  it('lets a claim pass an owner that was stopped at any moment, which changes nothing when it continues', async () => {
    const schema = ownSchema();
    const next = await opened({ schema, url: pgbouncer.url });
    for (let round = 0; round < 4; round += 1) {
      const { child, ended } = await stoppedWriter(pgbouncer.url, schema);

      const asked = performance.now();
      const { epoch } = await next.claim(0, deployment);
      expect(performance.now() - asked).toBeLessThan(1_000 + busyMs);
      await next.apply(0, epoch, [write('s', `${round}`)]);
      child.kill('SIGCONT');
      expect((await ended).stderr).toMatch(/^EpochLostError: partition 0 was claimed by another store/);
      expect(await stored(next, 0, ['s'])).toEqual({ s: [`${round}`, {}] });
    }
  });

  it('ends each ownership at a crash of the server, even if no connection ends', async () => {
    const server = await startPrivatePostgres();
    onTestFinished(() => server.stop());
    const proxy = await startPrivatePgbouncer(server.url, mode);
    onTestFinished(() => proxy.stop());
    const repository = await opened({ url: proxy.url, durability: 'disk' });
    const claim = async (partition: number) => (await repository.claim(partition, deployment)).epoch;
    const [mine, idle] = [await claim(0), await claim(1)];
    await repository.apply(0, mine, [write('s', 'before')]);
    await server.crashAndRestart();

    // The server may not be ready yet. The test looks for its first answer about the epoch.
    const reasonOf = async (partition: number, epoch: number) => {
      for (;;) {
        const reason: unknown = await repository.apply(partition, epoch, [write('s', 'late')]).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (!/cannot (write|connect) to/.test(String(reason))) return reason;
      }
    };
    for (const [partition, epoch] of [
      [0, mine],
      [1, idle],
    ] as const) {
      const reason = await reasonOf(partition, epoch);
      expect(reason).toBeInstanceOf(RepositoryError);
      expect(reason).not.toBeInstanceOf(EpochLostError);
      expect(String(reason)).toContain('claim it anew');
    }
    expect(await stored(repository, 0, ['s'])).toEqual({ s: ['before', {}] });
    await repository.apply(0, await claim(0), [write('s', 'after')]);
    expect(await stored(repository, 0, ['s'])).toEqual({ s: ['after', {}] });
  });
});

it('keeps each transaction whole when many stores share two connections to the server', async () => {
  const pgbouncer = await startPrivatePgbouncer(databaseUrl, 'transaction', { connections: 2 });
  onTestFinished(() => pgbouncer.stop());
  const schema = ownSchema();
  const stores = await Promise.all(Array.from({ length: 8 }, () => opened({ schema, url: pgbouncer.url })));
  await Promise.all(
    stores.map(async (store, partition) => {
      const { epoch } = await store.claim(partition, deployment);
      for (let n = 1; n <= 20; n += 1) {
        await store.apply(partition, epoch, [write('s', `${n}`, { a: `${n}`, b: `${n}` })]);
        expect(await stored(store, partition, ['s'])).toEqual({ s: [`${n}`, { a: `${n}`, b: `${n}` }] });
      }
    }),
  );
});
