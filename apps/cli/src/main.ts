#!/usr/bin/env node
/** The program `locked-session`: tools for operators, and for those who look at what they have. */
import { createRequire } from 'node:module';
import { audit, auditUsage, codeOf } from './audit/audit.js';
import { verify, verifyUsage } from './verify.js';

const { version } = createRequire(import.meta.url)('locked-session/package.json') as { version: string };

const help = `Tools for operators of Locked Session.

Usage: locked-session <command> [options], or locked-session --version

Commands:
  verify  checks traces of what app servers and stores did
  audit   counts the updates that an application loses with the session store that it has

${verifyUsage}

${auditUsage}`;

/** Wrong use of a command, as BSD's sysexits has it. */
const usageError = 64;

async function main([command, ...rest]: readonly string[]): Promise<number> {
  if (command === 'verify') return verify(rest, console);
  if (command === 'audit') return endAs(await audit(rest, console));
  if (command === '--version') {
    console.log(version);
    return 0;
  }
  if (command === '--help' || command === 'help' || command === '-h') {
    console.log(help);
    return 0;
  }
  console.error(command === undefined ? help : `unknown command '${command}'; see --help`);
  return usageError;
}

/** An application that a signal has ended ends this process by the same signal. */
function endAs(ended: number | NodeJS.Signals): number {
  if (typeof ended !== 'number') process.kill(process.pid, ended);
  return codeOf(ended);
}

process.exitCode = await main(process.argv.slice(2));
