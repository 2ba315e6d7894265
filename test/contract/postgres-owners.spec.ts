/**
 * Stores that compete for a partition in PostgreSQL, and owners whose connection, process or server fails.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import { EpochLostError, RepositoryError } from '#repository';
import { startPrivatePostgres } from '../../scripts/services/private-postgres.js';
import { busyMs } from '../fault/figures.js';
import { databaseUrl, holdUpWrites, opened, ownSchema, sql, stoppedWriter } from './postgres.fixture.js';
import { deployment, stored, write } from './repository.fixture.js';
import { TcpProxy } from './tcp-proxy.js';

const reasonOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (reason: unknown) => reason,
  );

const lanes = Array.from({ length: 8 }, (_, lane) => [`${lane}-left`, `${lane}-right`]).flat();

/** Resolves when a statement of this application waits for a lock. */
const untilItWaits = (application: string) =>
  expect
    .poll(
      () =>
        sql(
          `SELECT 1 FROM pg_stat_activity WHERE application_name = '${application}' AND wait_event_type = 'Lock'`,
        ),
      { timeout: 10_000, interval: 5 },
    )
    .toHaveLength(1);

it('two stores that take a partition from each other under load lose nothing, and nothing comes late', async () => {
  const schema = ownSchema();
  const stores = [await opened({ schema }), await opened({ schema, durability: 'disk' })];
  const acknowledged: string[] = [];
  /** The changes of earlier epochs at each claim. No more of them may come later. */
  const found = new Map<number, string[]>();
  const attributes = async (store: (typeof stores)[number]) =>
    Object.keys((await stored(store, 0, ['s']))['s']?.[1] ?? {});

  const own = async (store: (typeof stores)[number]) => {
    for (let turn = 0; turn < 25; turn += 1) {
      const { epoch } = await store.claim(0, deployment);
      found.set(epoch, await attributes(store));
      for (let lost = false, n = 0; !lost; n += 1) {
        const calls = Array.from({ length: 4 }, async (_, i) => {
          const mark = `${epoch}-${n}-${i}`;
          await store.apply(0, epoch, [write('s', mark, { [mark]: '' })]);
          acknowledged.push(mark);
        });
        const reasons = (await Promise.all(calls.map(reasonOf))).filter((reason) => reason !== undefined);
        for (const reason of reasons) expect(reason).toBeInstanceOf(EpochLostError);
        lost = reasons.length > 0;
        if (found.size === 50 && n > 0) return; // the other one has stopped claiming
      }
    }
  };
  await Promise.all(stores.map(own));

  const all = await attributes(stores[0]!);
  expect(all.toSorted()).toEqual(acknowledged.toSorted());
  for (const [epoch, before] of found) {
    const earlier = (marks: string[]) => marks.filter((mark) => Number.parseInt(mark) < epoch).toSorted();
    expect(earlier(before)).toEqual(earlier(all));
  }
});

describe('a connection', () => {
  it('takes the batch and all ownership with it when it is killed in mid-batch, and another one is made', async () => {
    const schema = ownSchema();
    const store = await opened({ schema, url: `${databaseUrl}?application_name=${schema}` });
    const claim = async (partition: number) => (await store.claim(partition, deployment)).epoch;
    const [mine, idle] = [await claim(0), await claim(1)];
    await store.apply(0, mine, [write('s', 'before', { cart: 'apple' })]);

    const release = await holdUpWrites(schema);
    const calls = [
      reasonOf(store.apply(0, mine, [write('s', 'lost', { cart: 'pear' })])),
      untilItWaits(schema).then(() => reasonOf(store.apply(0, mine, [write('s', 'behind')]))),
    ];
    await untilItWaits(schema);
    await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '${schema}'`);
    for (const reason of await Promise.all(calls)) {
      expect(reason).toBeInstanceOf(RepositoryError);
      expect(reason).not.toBeInstanceOf(EpochLostError);
    }
    await release();
    await expect(store.apply(1, idle, [])).rejects.toThrow('claim it anew');
    expect(await stored(store, 0, ['s'])).toEqual({ s: ['before', { cart: 'apple' }] });
    await store.apply(0, await claim(0), [write('s', 'after')]);
    await store.apply(1, await claim(1), []);
    expect(await stored(store, 0, ['s'])).toEqual({ s: ['after', { cart: 'apple' }] });
  });

  it('is tried again by each call while it is refused', async () => {
    const schema = ownSchema();
    const proxy = await TcpProxy.start(databaseUrl);
    onTestFinished(() => proxy.stop());
    const store = await opened({ schema, url: proxy.url });
    const { epoch } = await store.claim(0, deployment);
    proxy.refuse();
    expect(await reasonOf(store.apply(0, epoch, [write('s', 'x')]))).toBeInstanceOf(RepositoryError);
    expect(await reasonOf(store.load(0, ['s']))).toBeInstanceOf(RepositoryError);
    expect(await reasonOf(store.claim(0, deployment))).toBeInstanceOf(RepositoryError);
    proxy.accept();
    expect(await stored(store, 0, ['s'])).toEqual({});
    await expect(store.apply(0, epoch, [])).rejects.toThrow('claim it anew');
    await store.apply(0, (await store.claim(0, deployment)).epoch, [write('s', 'x')]);
  });

  it('is made with the present password, and names what is wrong with it, but not the password', async () => {
    const server = await startPrivatePostgres();
    onTestFinished(() => server.stop());
    const url = new URL(server.url);
    const right = url.password;
    url.password = '';
    let password: () => string = () => right;
    const store = await opened({ url: url.href, password: () => password() });
    const { epoch } = await store.claim(0, deployment);
    await sql(`ALTER ROLE postgres PASSWORD 'sesame'`, server.url);
    await store.apply(0, epoch, [write('s', 'x')]); // by the present connection

    url.password = 'sesame';
    await sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'locked-session'`,
      url.href,
    );
    const refusal = async () => {
      const said = String(await reasonOf(store.claim(0, deployment)));
      expect(said).not.toContain(right);
      return said;
    };
    await expect.poll(refusal).toMatch(/see that user and password are right/);
    password = () => {
      throw new Error('ENOENT: no such file');
    };
    expect(await refusal()).toMatch(/see that the file with the password is there.*ENOENT: no such file/);
    password = () => 'sesame';
    expect((await store.claim(0, deployment)).epoch).toBe(epoch + 1);
    expect(await stored(store, 0, ['s'])).toEqual({ s: ['x', {}] });
  });

  it('is abandoned in time when it falls silent', async () => {
    const schema = ownSchema();
    const proxy = await TcpProxy.start(databaseUrl);
    const store = await opened({
      schema,
      url: proxy.url,
      statementTimeoutMs: 1_000,
      connectTimeoutMs: 1_000,
    });
    onTestFinished(() => proxy.stop()); // before the store closes the rest
    const { epoch } = await store.claim(0, deployment);
    proxy.mute();
    expect(await reasonOf(store.apply(0, epoch, [write('s', 'x')]))).toBeInstanceOf(RepositoryError);
    expect(await reasonOf(store.claim(0, deployment))).toBeInstanceOf(RepositoryError);
  });
});

describe('an owner', () => {
  it('that is stopped at any moment delays no claim, and changes nothing when it continues', async () => {
    const schema = ownSchema();
    const next = await opened({ schema });
    for (let round = 0; round < 8; round += 1) {
      const { child, ended } = await stoppedWriter(databaseUrl, schema);

      const asked = performance.now();
      const { epoch } = await next.claim(0, deployment);
      expect(performance.now() - asked).toBeLessThan(1_000 + busyMs);
      await next.apply(0, epoch, []);
      const before = await stored(next, 0, lanes);
      child.kill('SIGCONT');
      expect((await ended).stderr).toMatch(/^EpochLostError: partition 0 was claimed by another store/);
      expect(await stored(next, 0, lanes)).toEqual(before);
    }
  });

  it('that falls silent anywhere in a batch delays no claim', async () => {
    const schema = ownSchema();
    const next = await opened({ schema });
    /** The proxy lets so many bytes through. Resolves with the length of the batch. */
    const silentAfter = async (bytes: number) => {
      const proxy = await TcpProxy.start(`${databaseUrl}?application_name=${schema}`);
      const silent = await opened({ schema, url: proxy.url });
      const { epoch } = await silent.claim(0, deployment);
      const already = proxy.received;
      const muted = proxy.muteAfter(bytes);
      const apply = reasonOf(silent.apply(0, epoch, [write('s', 'silent', { cart: 'apple' })]));
      await Promise.race([muted, apply]);
      const length = proxy.received - already;
      await expect
        .poll(() =>
          sql(`SELECT DISTINCT wait_event FROM pg_stat_activity WHERE application_name = '${schema}'`),
        )
        .toEqual([{ wait_event: 'ClientRead' }]); // the server waits for the rest
      const asked = performance.now();
      await next.claim(0, deployment);
      expect(performance.now() - asked).toBeLessThan(1_000 + busyMs);
      await proxy.stop();
      await apply;
      return length;
    };
    const length = await silentAfter(Infinity);
    expect(length).toBeGreaterThan(100);
    for (let bytes = 1; bytes < length; bytes += Math.ceil(length / 20)) await silentAfter(bytes);
    for (let last = 6; last >= 0; last -= 1) await silentAfter(length - last);
  });

  it('delays a claim while the server works at its batch, and the claim sees that batch', async () => {
    const schema = ownSchema();
    const named = (name: string) => ({ schema, url: `${databaseUrl}?application_name=${name}` });
    const [slow, next] = [await opened(named(schema)), await opened(named(`${schema}_next`))];
    const { epoch } = await slow.claim(0, deployment);
    let held = true;
    const release = await holdUpWrites(schema);
    const apply = slow.apply(0, epoch, [write('s', 'slow', { cart: 'apple' })]);
    await untilItWaits(schema);
    const claim = next.claim(0, deployment).then(() => held);
    await untilItWaits(`${schema}_next`);
    held = false;
    await release();
    expect(await claim).toBe(false);
    expect(await stored(next, 0, ['s'])).toEqual({ s: ['slow', { cart: 'apple' }] });
    await apply;
    await expect(slow.apply(0, epoch, [])).rejects.toBeInstanceOf(EpochLostError);
  });

  it('must claim anew after a crash of the server, and with `disk` finds all acknowledged changes', async () => {
    const server = await startPrivatePostgres();
    onTestFinished(() => server.stop());
    const store = await opened({ url: server.url, durability: 'disk' });
    const claim = async (partition: number) => (await store.claim(partition, deployment)).epoch;
    const [mine, idle] = [await claim(0), await claim(1)];
    let acknowledged = 0;
    const writing = reasonOf(
      (async () => {
        for (;;) {
          await store.apply(0, mine, [write('s', `${acknowledged + 1}`)]);
          acknowledged += 1;
        }
      })(),
    );
    await expect.poll(() => acknowledged, { interval: 5 }).toBeGreaterThan(20);
    await server.crashAndRestart();
    const reason = await writing;
    expect(reason).toBeInstanceOf(RepositoryError);
    expect(reason).not.toBeInstanceOf(EpochLostError);
    await expect(store.apply(1, idle, [write('s', 'x')])).rejects.toThrow('claim it anew');
    expect(await claim(0)).toBe(2);
    const [head] = (await stored(store, 0, ['s']))['s']!;
    expect(Number(head) - acknowledged).toBeOneOf([0, 1]);
  });
});
