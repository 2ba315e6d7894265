/**
 * The report of a run of hours: a JSON document that is written as the run goes, and with which the next run
 * goes on. It never replaces a file that is something else.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { WrongUse } from './command-line.js';

/**
 * The report in the file, or `empty`, which is written then: so a place that cannot be written to is told
 * before the run. Throws a `WrongUse` when the file is not such a report.
 */
export function openReport<T>(file: string, schema: z.ZodType, empty: T): T {
  if (!existsSync(file)) {
    saveReport(file, empty);
    return empty;
  }
  const report = parse(file, read(file));
  const problem = schema.safeParse(report).error;
  if (problem) throw new WrongUse(`${refusal(file)}\n${z.prettifyError(problem)}`);
  return report as T;
}

/** A run that is killed meanwhile leaves the report of before. */
export function saveReport(file: string, report: unknown): void {
  try {
    writeFileSync(`${file}.new`, `${JSON.stringify(report, undefined, 2)}\n`);
    renameSync(`${file}.new`, file);
  } catch (error) {
    throw new WrongUse(`the report cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new WrongUse(`${resolve(file)} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WrongUse(refusal(file), { cause: error });
  }
}

const refusal = (file: string) =>
  `${resolve(file)} is no whole report of this version: give --report another file, or move this one away`;
