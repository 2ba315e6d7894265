/** Reads a trace: the lines of one file, as its process wrote them. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { headSchema, recordSchema, traceVersion, type TraceHead, type TraceRecord } from './records.js';

export interface Trace {
  /** What it is called in messages. */
  readonly file: string;
  readonly head: TraceHead;
  readonly records: readonly TraceRecord[];
}

/** A file is no trace, or one that this program does not understand: the message names file and line. */
export class TraceError extends Error {
  override name = 'TraceError';
}

/** Throws a `TraceError`, or what the file system says. */
export async function readTraceFile(path: string): Promise<Trace> {
  const file = await open(path);
  try {
    if ((await file.stat()).isDirectory())
      throw new TraceError(`${path} is a directory: name the files in it, such as ${join(path, '*.ndjson')}`);
    return await readTrace(path, file.readLines());
  } finally {
    await file.close();
  }
}

/**
 * A last line that is not whole does not count: its process was killed, or the disk was full. A process that
 * ended in order has written all lines, so the copy of such a trace is not whole.
 */
export async function readTrace(
  file: string,
  lines: AsyncIterable<string> | Iterable<string>,
): Promise<Trace> {
  let head: TraceHead | undefined;
  const records: TraceRecord[] = [];
  let broken: TraceError | undefined;
  let number = 0;
  for await (const line of lines) {
    number++;
    if (broken) throw broken; // it was not the last line
    if (line === '') continue;
    const where = `${file}, line ${number}`;
    const value = parse(line);
    if (!head) head = readHead(where, value);
    else {
      const record = recordSchema.safeParse(value);
      if (record.success) records.push(record.data);
      else broken = new TraceError(`${where} is no record of a trace: ${z.prettifyError(record.error)}`);
    }
  }
  if (!head) throw new TraceError(`${file} is empty: copy it again, or leave it out`);
  if (broken && head.state === 'closed')
    throw new TraceError(`${file} is not whole: its last line is cut off, though its process ended in order`);
  return { file, head, records };
}

function readHead(where: string, value: unknown): TraceHead {
  if (!looksLikeHead(value))
    throw new TraceError(`${where} does not begin a trace: is the file one, and not compressed?`);
  const head = headSchema.safeParse(value);
  if (!head.success) throw new TraceError(`${where} does not begin a trace: ${z.prettifyError(head.error)}`);
  const { version } = head.data;
  if (version === traceVersion) return head.data;
  throw new TraceError(
    `${where}: the trace has version ${version}, but this program reads version ${traceVersion} alone: ` +
      'use the release of locked-session that wrote it',
  );
}

/** Of a file that is something else the schema would find fault with everything. */
const looksLikeHead = (value: unknown): boolean =>
  (value as { kind?: unknown } | null | undefined)?.kind === 'head';

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
