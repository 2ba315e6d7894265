/** What counts as use of a session (rule 15), and what is said when write-back loses something (rule 20): found by random days, and played here on their own. */
import { expect, it } from 'vitest';
import { Deployment } from './deployment.js';
import { add, codeOf, read, run, scene } from './scopes.js';

it('rule 15: a session is in use for as long as a scope is inside, be it longer than its time to live', async () => {
  const { deployment, until, one } = await scene({ store: { ttlMs: 2_000, expiryScanMs: 200 } });
  await until(add(one, 'kept'));
  const process = deployment.process('one');
  const staying = run(one, { read: ['a'] }, () => process.sleep(20_000));
  expect(await until(codeOf(staying))).toBe('fulfilled');
  expect(await until(read(one))).toEqual(['kept']);
});

it('rule 15: a grant that was long under way does not count as told of when it arrives', async () => {
  const { deployment, world, until, one, two } = await scene({
    store: { ttlMs: 3_600, expiryScanMs: 100, leaseMs: 20_000 },
    holder: { holdPolicy: 'until-idle' },
  });
  await until(add(one, 'kept'));
  await until(read(two));
  const asked = world.time;
  deployment.network.stallHolder('two', 2_900, 'in');
  // It is granted now, used 2.9 s later, and given back at once.
  expect(await until(read(two))).toEqual(['kept']);
  expect(world.time - asked).toBeGreaterThan(2_800);
  await world.run(() => world.time - asked > 5_000, 10_000);
  expect(await until(read(one))).toEqual(['kept']);
});

it('rule 20: what write-back loses is told in the log, even when nobody here thinks of the session any more', async () => {
  const deployment = new Deployment({
    holder: { writeBackMs: 60_000, holdPolicy: 'until-idle', repeatMs: 200 },
    store: { leaseMs: 1_000 },
  });
  await deployment.start();
  const told: string[] = [];
  deployment.world.onTrace = (line) => told.push(line);
  const until = <T>(promise: Promise<T>) => deployment.until(promise, 60_000);
  const [one, two] = [await deployment.holder('one'), await deployment.holder('two')];
  // The change leaves with the release, and that never arrives: meanwhile another process gets the session.
  await until(add(one, 'first'));
  const making = run(one, { write: ['a'] }, (session) => {
    session.draft('a', () => []).push('made');
    deployment.network.stallHolder('one', 2_900, 'out');
  });
  await until(making);
  await until(add(two, 'other'));
  await deployment.world.run(() => told.some((line) => line.includes('write-back')), 30_000);
  expect(told.join('\n')).toMatch(/one: session s: the lock is lost .*write-back had given the results/);
  expect(await until(read(two))).toEqual(['first', 'other']);
});
