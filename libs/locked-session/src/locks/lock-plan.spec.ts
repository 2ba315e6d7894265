/** The locks that a scope takes, from what it names. */
import { expect, it } from 'vitest';
import { lockPlan, type LockSpec } from './lock-plan.js';

const plans: [spec: LockSpec, plan: string[]][] = [
  [{ write: ['user', 'cart', 'user'], read: ['theme', 'cart'] }, ['write cart', 'read theme', 'write user']],
  [{ read: '*' }, ['read *']],
  [{ read: ['cart', '*'] }, ['read *']],
  [{ read: ['cart'], write: '*' }, ['write *']],
  [{ read: '*', write: ['cart'] }, ['write *']],
  [{ read: '*', write: [] }, ['read *']],
  [{ read: [] }, []],
  [{}, ['write *']],
];

it.each(plans)('%j takes %j', (spec, plan) => {
  expect(lockPlan(spec).map(({ name, mode }) => `${mode} ${name}`)).toEqual(plan);
});

it('refuses what is no name', () => {
  expect(() => lockPlan({ read: ['cart', '__proto__'] })).toThrow(
    expect.objectContaining({ code: 'attribute-name' }),
  );
});
