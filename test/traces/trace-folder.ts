/**
 * Where the processes of a suite write their traces, and the judgement of them: that of `locked-session
 * verify`. Both the end-to-end suite and the fault suite judge by it, besides what they look at themselves.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LockedSessionOptions } from '#locked-session';
import { readTraceFile, verifyTraces, type Report, type Trace } from '#trace';

type Env = Readonly<Record<string, string | undefined>>;

/** Of one process: no run of a suite reaches it. */
const maxBytes = 2 ** 30;

export class TraceFolder {
  /** What stores and app servers of the suite are told. */
  readonly env: Readonly<Record<string, string>>;

  constructor(readonly directory: string) {
    this.env = {
      STORE_TRACE_DIRECTORY: directory,
      STORE_TRACE_MAX_BYTES: String(maxBytes),
      STORE_TRACE_KEY: `key of ${randomUUID()}`,
    };
  }

  async verify(): Promise<Report> {
    await mkdir(this.directory, { recursive: true }); // nobody may have written yet
    const traces: Trace[] = [];
    for (const name of await readdir(this.directory))
      traces.push(await readTraceFile(join(this.directory, name)));
    return verifyTraces(traces);
  }
}

/** What is wrong, or not known, in words; nothing when all is well. */
export const wrongIn = ({ findings, notKnown }: Report): string[] => [
  ...findings.map(({ kind, what, session, evidence }) =>
    [`the traces tell: ${kind}: ${what} (session ${session})`, ...evidence].join('\n    '),
  ),
  ...notKnown.map((why) => `the traces do not tell: ${why}`),
];

/** The setting of an app server of a suite, which is told what stores are. */
export function traceOption(env: Env): Pick<LockedSessionOptions, 'trace'> {
  const { STORE_TRACE_DIRECTORY: directory, STORE_TRACE_KEY: key } = env;
  return directory === undefined ? {} : { trace: { directory, key: key!, maxBytes } };
}
