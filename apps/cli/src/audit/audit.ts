/**
 * The command `audit`: runs an application with a meter in its session stores, and says at its end how many
 * updates were lost.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { mergeReports, reportText } from '#meter';
import { auditVariable, takeOver, type AuditOrder, type HandedOver } from './hand-over.js';

const limits = { least: 1, most: 10_000, default: 100 };

export const auditUsage = `Usage: locked-session audit [options] -- COMMAND…

  COMMAND…        how the application is started, such as: node app.js
  --max-routes N  most routes that are counted each by itself [${limits.default}]
  --help          this

Counts how many saves of sessions overwrite a change that they have not read, in express-session and
@fastify/session. The table and one line of JSON go to stderr when the application has ended.

Exit code: that of the application, 64 wrong use, 127 it cannot be started.`;

const usageError = 64;
const cannotStart = 127;

/** Where the command writes to, and how it ends like its application. */
export interface AuditOutput {
  log(text: string): void;
  error(text: string): void;
}

interface Arguments {
  readonly command: readonly string[];
  readonly maxRoutes: number;
  readonly help: boolean;
}

/** Returns the exit code of the application, or the signal that ended it. */
export async function audit(given: readonly string[], output: AuditOutput): Promise<number | NodeJS.Signals> {
  let read: Arguments;
  try {
    read = readArguments(given);
  } catch (error) {
    output.error(`${(error as Error).message}\n\n${auditUsage}`);
    return usageError;
  }
  if (read.help) {
    output.log(auditUsage);
    return 0;
  }
  const directory = mkdtempSync(join(tmpdir(), 'locked-session-audit-'));
  const order: AuditOrder = { directory, maxRoutes: read.maxRoutes };
  try {
    const ended = await run(read.command, order);
    if (ended instanceof Error) {
      output.error(`cannot start ${read.command[0]}: ${ended.message}`);
      return cannotStart;
    }
    output.error(auditText(takeOver(order), read.maxRoutes));
    return ended;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function auditText(counts: readonly HandedOver[], maxRoutes: number): string {
  const refused = [...new Set(counts.flatMap((one) => one.refused))];
  const notes = refused.map((why) => `A store was not counted. ${why}`);
  const stores = counts.reduce((sum, one) => sum + one.stores, 0);
  if (stores === 0) return ['locked-session audit: no session store was seen.', ...notes, none].join('\n');
  const reports = counts.map(({ report }) => report);
  const report = mergeReports(reports, { maxRoutes, maxKeys: maxRoutes });
  return [reportText(report), ...notes, '', JSON.stringify({ lockedSessionAudit: report })].join('\n');
}

const none =
  'It sees express-session and @fastify/session, as long as they are not bundled, and a process that ' +
  'was not killed by SIGKILL.';

async function run(
  [program, ...args]: readonly string[],
  order: AuditOrder,
): Promise<number | NodeJS.Signals | Error> {
  const preload = new URL('../audit-preload.js', import.meta.url).href;
  const options = [process.env.NODE_OPTIONS, `--import=${preload}`].filter(Boolean).join(' ');
  const env = { ...process.env, NODE_OPTIONS: options, [auditVariable]: JSON.stringify(order) };
  const child = spawn(program!, args, { env, stdio: 'inherit' });
  const stop = passSignals(child);
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return signal ?? code ?? 0;
  } catch (error) {
    return error as Error;
  } finally {
    stop();
  }
}

/** Ctrl-C reaches the application by its terminal. Twice means to hurry, for many. */
function passSignals(child: ChildProcess): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const listeners = signals.map((signal) => {
    const isPassed = signal !== 'SIGINT' || !process.stdin.isTTY;
    return [signal, () => void (isPassed && child.kill(signal))] as const;
  });
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

/** As a shell tells of a program that a signal has ended. */
export const codeOf = (ended: number | NodeJS.Signals): number =>
  typeof ended === 'number' ? ended : 128 + constants.signals[ended];

function readArguments(given: readonly string[]): Arguments {
  const at = given.indexOf('--');
  const own = at < 0 ? given : given.slice(0, at);
  const { values, positionals } = parseArgs({
    args: [...own],
    allowPositionals: true,
    options: {
      'max-routes': { type: 'string', default: String(limits.default) },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const command = at < 0 ? [] : given.slice(at + 1);
  if (!values.help && (positionals.length > 0 || command.length === 0))
    throw new Error('name the command after --, such as: locked-session audit -- node app.js');
  return { command, maxRoutes: routesOf(values['max-routes']), help: values.help };
}

function routesOf(text: string): number {
  const number = text.trim() === '' ? NaN : Number(text);
  if (Number.isInteger(number) && number >= limits.least && number <= limits.most) return number;
  throw new Error(
    `--max-routes is '${text}', but must be a whole number from ${limits.least} to ${limits.most}`,
  );
}
