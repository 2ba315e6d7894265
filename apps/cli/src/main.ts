#!/usr/bin/env node
/** The program `locked-session`: tools for operators. So far there is one, `verify`. */
import { createRequire } from 'node:module';
import { verify, verifyUsage } from './verify.js';

const { version } = createRequire(import.meta.url)('locked-session/package.json') as { version: string };

const help = `Tools for operators of Locked Session.

Usage: locked-session <command> [options], or locked-session --version

Commands:
  verify  checks traces of what app servers and stores did

${verifyUsage}`;

/** Wrong use of a command, as BSD's sysexits has it. */
const usageError = 64;

async function main([command, ...rest]: readonly string[]): Promise<number> {
  if (command === 'verify') return verify(rest, console);
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

process.exitCode = await main(process.argv.slice(2));
