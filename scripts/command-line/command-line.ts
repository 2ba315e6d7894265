/**
 * The command lines of the programs that prove something: explorer, simulator, fault suite, mutator. What is
 * wrong with one is told in a sentence above the usage, without a stack, and by an exit code of its own.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util';

/** Who started the program named something that cannot be. The message says what, and what can be. */
export class WrongUse extends Error {
  override name = 'WrongUse';
}

/** Apart from 1, which says that something was found. */
const wrongUseCode = 2;

/** Runs the program, and takes what `main` returns as its exit code. A `WrongUse` becomes a message and 2. */
export async function runProgram(usage: string, main: () => number | Promise<number>): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof WrongUse)) throw error;
    console.error(`${error.message}\n\n${usage}`);
    process.exitCode = wrongUseCode;
  }
}

/** The values of the options. Throws a `WrongUse` for unknown ones and for words that belong to none. */
export function readOptions<const T extends NonNullable<ParseArgsConfig['options']>>(
  options: T,
  given: readonly string[] = process.argv.slice(2),
): ReturnType<typeof parseArgs<{ args: string[]; options: T }>>['values'] {
  try {
    return parseArgs({ args: joined(given), options }).values;
  } catch (error) {
    throw new WrongUse((error as Error).message, { cause: error });
  }
}

/** Throws a `WrongUse` for anything but a whole number of `least` or more. */
export function wholeNumber(option: string, text: string, least = 1): number {
  const number = numberOf(text);
  if (Number.isSafeInteger(number) && number >= least) return number;
  throw new WrongUse(`${option} is '${text}', but must be a whole number, ${least} or more`);
}

/** Throws a `WrongUse` for anything but a number above 0 that has an end. */
export function numberAboveZero(option: string, text: string): number {
  const number = numberOf(text);
  if (Number.isFinite(number) && number > 0) return number;
  throw new WrongUse(`${option} is '${text}', but must be a number above 0`);
}

const numberOf = (text: string) => (text.trim() === '' ? NaN : Number(text));

/** `--hours -1` is a wrong number. Apart, Node takes the -1 for an option. */
function joined(given: readonly string[]): string[] {
  const words: string[] = [];
  for (const word of given) {
    const isOption = words.at(-1)?.startsWith('--') && !words.at(-1)!.includes('=');
    if (isOption && /^-[\d.]/.test(word)) words.push(`${words.pop()}=${word}`);
    else words.push(word);
  }
  return words;
}
