// Command lines: what is wrong with them is said in a sentence, with the usage, and without a stack.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { numberAboveZero, readOptions, runProgram, wholeNumber, WrongUse } from './command-line.js';

const options = { hours: { type: 'string' }, deep: { type: 'boolean', default: false } } as const;

let said: string[];
beforeEach(() => {
  said = [];
  vi.spyOn(console, 'error').mockImplementation((line: string) => said.push(line));
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

it('wrong use is a message above the usage, and 2', async () => {
  await runProgram('npm run it', () => {
    throw new WrongUse('that is wrong');
  });
  expect(said).toEqual(['that is wrong\n\nnpm run it']);
  expect(process.exitCode).toBe(2);
});

it('what a program finds is its exit code, and a fault of its own stays an error', async () => {
  await runProgram('', () => 1);
  expect(process.exitCode).toBe(1);
  await expect(runProgram('', () => Promise.reject(new Error('a fault')))).rejects.toThrow('a fault');
  expect(said).toEqual([]);
});

it.each<[args: string[], told: RegExp]>([
  [['--fast'], /^Unknown option '--fast'/],
  [['nothing'], /^Unexpected argument 'nothing'/],
  [['--hours'], /^Option '--hours <value>' argument missing/],
  [['--deep=yes'], /^Option '--deep' does not take an argument/],
])('wrong use: %j', (args, told) => {
  expect(() => readOptions(options, args)).toThrow(WrongUse);
  expect(() => readOptions(options, args)).toThrow(told);
});

it('a number below 0 is the value of the option before it', () => {
  expect(readOptions(options, ['--hours', '-1', '--deep'])).toEqual({ hours: '-1', deep: true });
  expect(readOptions(options, ['--hours=2'])).toEqual({ hours: '2', deep: false });
});

it.each(['abc', '', ' ', '0', '-1', '1.5', 'Infinity', '1e400', 'NaN'])('no whole number: %j', (text) => {
  expect(() => wholeNumber('--seeds', text)).toThrow(
    new WrongUse(`--seeds is '${text}', but must be a whole number, 1 or more`),
  );
});

it.each(['abc', '', '0', '-1', 'Infinity', '1e400'])('no number above 0: %j', (text) => {
  expect(() => numberAboveZero('--hours', text)).toThrow(
    new WrongUse(`--hours is '${text}', but must be a number above 0`),
  );
});

it('numbers as they are written', () => {
  expect(wholeNumber('--seeds', '1e3')).toBe(1_000);
  expect(numberAboveZero('--hours', '0.5')).toBe(0.5);
});
