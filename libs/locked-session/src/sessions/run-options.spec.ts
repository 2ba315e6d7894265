/** What `run` refuses, and when it makes a plan anew. */
import { describe, expect, it } from 'vitest';
import { planOfRun, type RunOptions } from './run-options.js';

const plan = (options: unknown) => planOfRun(options as RunOptions);
const cases = (rows: [options: unknown, named: string][]) =>
  rows.map(([options, named]) => ({ options, named }));
const refused = (named: string) =>
  expect.objectContaining({ code: 'settings', message: expect.stringContaining(named) as unknown });

describe('the options of a run', () => {
  it.each(
    cases([
      [undefined, 'run(): the options are undefined, and must be an object'],
      [null, 'the options are null'],
      ['cart', 'the options are "cart"'],
      [['cart'], 'the options are an array'],
      [{ waitMs: NaN }, "run(): 'waitMs' is NaN, and must be a number of milliseconds from 0 to 600000"],
      [{ waitMs: Infinity }, "'waitMs' is Infinity"],
      [{ waitMs: -0.1 }, "'waitMs' is -0.1"],
      [{ waitMs: 600_001 }, "'waitMs' is 600001"],
      [{ waitMs: 5n }, "'waitMs' is 5n"],
      [{ waitMs: { valueOf: () => 5 } }, "'waitMs' is an object"],
      [{ timeout: 5 }, 'there is no option "timeout". There are read, write, waitMs, signal, label'],
      [{ instance: 'x' }, 'there is no option "instance"'],
      [{ signal: {} }, "'signal' is an object, and must be an AbortSignal"],
      [{ signal: new AbortController() }, "'signal' is an object"],
      [{ label: 7 }, "'label' is 7, and must be text"],
      [{ create: 'yes' }, '\'create\' is "yes", and must be true or false'],
      [{ write: new Set(['a']) }, "'write' is an object, and must be an array"],
      [{ read: 1 }, "'read' is 1"],
      [
        { label: 'x'.repeat(10_000), create: 'y'.repeat(10_000) },
        '… (10000 characters), and must be true or false',
      ],
    ]),
  )('are refused: $named', ({ options, named }) => {
    expect(() => plan(options)).toThrow(refused(named));
  });

  it.each<[string, unknown, string]>([
    ['one name', { write: 'cart' }, 'name attributes in an array: ["cart"]'],
    ['a name with the sign of the whole session in it', { write: 'c*t' }, 'name attributes in an array'],
    ['a list in a list', { write: [['cart']] }, 'an array cannot name an attribute'],
    ['a bigint', { read: [5n] }, '5n cannot name an attribute'],
  ])('%s where names are due is refused', (_what, options, message) => {
    expect(() => plan(options)).toThrow(
      expect.objectContaining({
        code: 'attribute-name',
        message: expect.stringContaining(message) as unknown,
      }),
    );
  });

  it('are all there may be, and those that are undefined are not given', () => {
    const { signal } = new AbortController();
    const flags = { create: true };
    expect(plan({ read: ['b'], write: ['a'], waitMs: 0, signal, label: '', ...flags })).toHaveLength(2);
    const none = Object.fromEntries(
      ['read', 'write', 'waitMs', 'signal', 'label'].map((name) => [name, undefined]),
    );
    expect(plan(none)).toEqual([{ name: '*', mode: 'write' }]);
  });

  it('may be used again, and changed in between: the run locks what they name now', () => {
    const options = { write: ['a'] };
    const first = plan(options);
    expect(plan(options)).toBe(first);
    options.write.push('b');
    expect(plan(options)).toEqual([
      { name: 'a', mode: 'write' },
      { name: 'b', mode: 'write' },
    ]);
    options.write[0] = 'c';
    expect(plan(options).map(({ name }) => name)).toEqual(['b', 'c']);
    Object.assign(options, { waitMs: NaN });
    expect(() => plan(options)).toThrow(refused('NaN'));
  });
});
