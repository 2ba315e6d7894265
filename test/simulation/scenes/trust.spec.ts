/**
 * What scopes may do under a lock that is in doubt, or lost (rules 8, 11 and 17). One process is cut off from
 * the store for longer than its lease, while it thinks that it holds the session.
 */
import { expect, it } from 'vitest';
import type { LockedSessions, SessionHandle } from '#locked-session';
import { add, codeOf, latch, read, run, scene } from './scene.js';

const leaseMs = 1_000;
const cutMs = 5 * leaseMs;

/** `one` holds the session and is cut off. Scopes of it that were inside before are begun by `inside`. */
async function cutOff(inside: (one: LockedSessions) => void = () => {}) {
  const { deployment, world, until, one, two } = await scene({ store: { leaseMs } });
  await until(add(one, 'old'));
  inside(one);
  deployment.network.stallHolder('one', cutMs, 'both');
  const heal = () => world.pass(cutMs);
  const lapse = () => world.pass(2 * leaseMs);
  return { world, until, one, two, lapse, heal };
}

it('rule 8: a scope does not begin under a held lock whose lease has run out, before the store has confirmed it', async () => {
  const { until, one, two, lapse } = await cutOff();
  await until(add(two, 'new'));
  let hasBegun = false;
  const reading = run(one, { read: ['a'] }, (session) => ((hasBegun = true), session.get('a')));
  await lapse();
  expect(hasBegun).toBe(false);
  expect(await until(reading)).toEqual(['old', 'new']);
});

it('rule 8: nor does a scope that has waited inside for an attribute meanwhile', async () => {
  const end = latch();
  let second: Promise<string> | undefined;
  let hasBegun = false;
  const { until, lapse, world } = await cutOff((one) => {
    void codeOf(run(one, { write: ['a'] }, () => end.opened));
    second = codeOf(run(one, { write: ['a'], waitMs: 60_000 }, () => void (hasBegun = true)));
  });
  await lapse();
  end.open();
  await world.pass(leaseMs);
  expect(hasBegun).toBe(false);
  expect(await until(second!)).toBe('fulfilled');
  expect(hasBegun).toBe(true);
});

it.each<[string, () => unknown]>([
  ['ends well', () => 'stale'],
  ['fails by itself', () => Promise.reject(new Error('of its own'))],
])(
  'rule 8: what a scope read after its lease ran out is true, or it fails, though it %s',
  async (_how, body) => {
    const end = latch();
    let result: Promise<string> | undefined;
    const { until, two } = await cutOff((one) => {
      const reading = run(one, { read: ['a'] }, async (session) => {
        await end.opened;
        expect(session.get('a')).toEqual(['old']);
        return body();
      });
      result = codeOf(reading);
    });
    await until(add(two, 'new'));
    end.open();
    expect(await until(result!)).toBe('lock-lost');
  },
);

it.each<[string, (session: SessionHandle, one: LockedSessions, began: () => void) => Promise<unknown>]>([
  ['a nested scope', (_session, one, began) => run(one, { read: ['a'] }, began)],
  ['a change', (session) => (session.set('a' as never, ['late'] as never), session.commit())],
])('rule 11: under a lost lock %s is refused as lock-lost', async (_what, attempt) => {
  let hasBegun = false;
  let refusal = '';
  let result: Promise<string> | undefined;
  const { until, two, heal } = await cutOff((one) => {
    const losing = one.run('s', {}, async (session) => {
      await new Promise((resolve) => session.signal.addEventListener('abort', resolve));
      refusal = await codeOf(attempt(session, one, () => (hasBegun = true)));
    });
    result = codeOf(losing);
  });
  await until(add(two, 'new'));
  await heal();
  expect({ refusal, hasBegun, result: await until(result!) }).toEqual({
    refusal: 'lock-lost',
    hasBegun: false,
    result: 'lock-lost',
  });
  expect(await until(read(two))).toEqual(['old', 'new']);
});

it('rule 17: a scope of a destroyed session reads an empty one, and changes nothing', async () => {
  const { until, one } = await scene();
  const visit = (body: Parameters<LockedSessions['run']>[2]) =>
    one.visit('s', {}, { isNew: true, readOnly: true }, body);
  expect(await until(visit((session) => session.get('a' as never)))).toBeUndefined();
  const changing = visit((session) => session.set('a' as never, ['late'] as never));
  expect(await until(codeOf(changing))).toBe('session-destroyed');
  expect(await until(codeOf(one.run('s', { create: false }, () => {})))).toBe('unknown-session');
});
