/** The command `verify`: reads traces, says what they prove, and answers by its exit code. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readTraceFile, TraceError, verifyDefaults, verifyTraces, type Report, type Trace } from '#trace';
import { reportText } from './report.js';

export const verifyUsage = `Usage: locked-session verify FILE… [options]

  FILE…             the traces of all app servers and stores of a deployment
  --clock-error MS  how far the clocks of two machines may differ [${verifyDefaults.clockErrorMs}]
  --max-states N    most states that are searched for each session [${verifyDefaults.maxStates}]
  --json            the report as JSON
  --help            this

Exit code: 0 nothing is wrong, 1 something is wrong, 2 not known, 64 wrong use.`;

const exitCodes = { ok: 0, violation: 1, 'not-known': 2 } as const satisfies Record<
  Report['verdict'],
  number
>;
const usageError = 64;

/** Where the command writes to. */
export interface Output {
  log(text: string): void;
  error(text: string): void;
}

interface Arguments {
  readonly files: readonly string[];
  readonly clockErrorMs: number;
  readonly maxStates: number;
  readonly json: boolean;
  readonly help: boolean;
}

/** Returns the exit code. */
export async function verify(given: readonly string[], output: Output): Promise<number> {
  let read: Arguments;
  try {
    read = readArguments(given);
  } catch (error) {
    output.error(`${(error as Error).message}\n\n${verifyUsage}`);
    return usageError;
  }
  if (read.help) {
    output.log(verifyUsage);
    return 0;
  }
  const traces: Trace[] = [];
  try {
    for (const file of read.files) traces.push(await readTraceFile(file));
    refuseRepeats(traces);
  } catch (error) {
    if (!(error instanceof TraceError) && !('code' in (error as Error))) throw error;
    output.error(messageOf(error as NodeJS.ErrnoException));
    return usageError;
  }
  const report = verifyTraces(traces, read);
  output.log(read.json ? JSON.stringify(report, undefined, 2) : reportText(report));
  return exitCodes[report.verdict];
}

function messageOf({ code, path, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return `there is no file '${path}' (${code})`;
  if (code === 'EACCES') return `${message}: only the user of its process may read a trace`;
  return message;
}

/** What one process did once would count twice, and look like a lost change. */
function refuseRepeats(traces: readonly Trace[]): void {
  const files = new Map<string, string>();
  for (const { file, head } of traces) {
    const who = `${head.role} ${head.process}`;
    const other = files.get(who);
    if (other !== undefined && resolve(other) === resolve(file))
      throw new TraceError(`${file} is named twice: name it once`);
    if (other !== undefined)
      throw new TraceError(
        `${other} and ${file} are traces of one process, ${who}: name the longer one only`,
      );
    files.set(who, file);
  }
}

function readArguments(given: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...given],
    allowPositionals: true,
    options: {
      'clock-error': { type: 'string', default: String(verifyDefaults.clockErrorMs) },
      'max-states': { type: 'string', default: String(verifyDefaults.maxStates) },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  // Before the files: a file in place of a forgotten number is told as such.
  const clockErrorMs = numberOf('--clock-error', values['clock-error'], 0);
  const maxStates = numberOf('--max-states', values['max-states'], 1);
  if (positionals.length === 0 && !values.help) throw new Error('name the trace files');
  return {
    files: positionals,
    clockErrorMs,
    maxStates,
    json: values.json,
    help: values.help,
  };
}

function numberOf(name: string, text: string, least: number): number {
  const number = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(number) && number >= least) return number;
  throw new Error(`${name} is '${text}', but must be a number, ${least} or more`);
}
