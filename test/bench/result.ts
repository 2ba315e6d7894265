/** What a run of the benchmarks has found: the JSON of `--json`, from which reports and tables are made. */
import { cpus, totalmem } from 'node:os';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { ServerKind, Told } from './contest.js';
import { contestants, type ContestantName } from './contestants/contestants.js';
import type { Rounds } from './targets.js';
import type { RowName } from './rows.js';

export interface BenchResult {
  readonly node: string;
  readonly machine: string;
  readonly servers: Partial<Record<ServerKind, string>>;
  /** How long each contestant's load takes in a round. */
  readonly seconds: number;
  readonly cases: CaseResult[];
}

export interface CaseResult {
  readonly row: RowName;
  readonly case: string;
  readonly rounds: Rounds;
}

export function newResult(seconds: number): BenchResult {
  const gigabytes = Math.round(totalmem() / 1e9);
  const machine = `${cpus().length} cores (${cpus()[0]!.model}), ${gigabytes} GB, ${process.platform}`;
  return { node: process.version, machine, servers: {}, seconds, cases: [] };
}

/**
 * What is in the file, to go on with. Throws when it comes from another Node or another length, since its
 * figures could not stand beside new ones.
 */
export function resumed(file: string, seconds: number): BenchResult {
  const fresh = newResult(seconds);
  if (!existsSync(file)) return fresh;
  const found = read(file);
  for (const key of ['node', 'machine', 'seconds'] as const)
    if (found[key] !== fresh[key])
      throw new Error(
        `${file} has figures of ${key} ${found[key]}, this is ${fresh[key]}: name another file`,
      );
  return found;
}

export const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as BenchResult;

export const write = (file: string, result: BenchResult) =>
  writeFileSync(file, `${JSON.stringify(result, undefined, 1)}\n`);

export const toldOf = (name: ContestantName): Told => contestants[name];
