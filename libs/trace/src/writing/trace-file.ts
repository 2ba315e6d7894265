/**
 * A trace as a file: JSON lines, at most so many bytes. It never throws, and never waits for the disk, only
 * for the operating system to take the bytes. What it cannot take cuts the trace, and the head says so.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { traceVersion, type TraceFact, type TraceHead } from '../records.js';
import type { TraceSettings } from '../settings.js';
import type { TraceSink } from '../sink.js';
import { TraceHashes } from './hashes.js';

export interface TracePorts {
  readonly role: TraceHead['role'];
  /** The process, by a name that is never used again. */
  readonly process: string;
  readonly warn: (line: string) => void;
  /** Runs the task later, and does not keep the process alive for it. */
  readonly after: (delayMs: number, task: () => void) => () => void;
}

/** As it is when this is loaded: an application's tests may replace it by one that stands still. */
const nanoseconds = process.hrtime.bigint;

/** What is not flushed by a message is written after so long, or when it is so much. */
const flushMs = 200;
const flushChars = 65_536;
/** Kept free for the last record. */
const spareBytes = 512;

/** Throws when the file cannot be made, or takes no head. No file is left then. */
export function openTrace(settings: TraceSettings, ports: TracePorts): TraceSink {
  mkdirSync(settings.directory, { recursive: true });
  const path = join(settings.directory, `${ports.role}-${ports.process}.ndjson`);
  const file = openSync(path, 'wx', 0o600);
  try {
    return new TraceFile(file, path, settings, ports);
  } catch (error) {
    closeSync(file);
    rmSync(path);
    throw new Error(`${(error as Error).message} '${path}'`, { cause: error });
  }
}

class TraceFile implements TraceSink {
  private readonly hashes: TraceHashes;
  private lines = '';
  private bytes = 0;
  private statePosition = 0;
  private isOpen = true;
  private cancelFlush: (() => void) | undefined;

  constructor(
    private readonly file: number,
    private readonly path: string,
    private readonly settings: TraceSettings,
    private readonly ports: TracePorts,
  ) {
    this.hashes = new TraceHashes(settings.key);
    this.begin();
  }

  now(): number {
    return Math.round(Number(nanoseconds()) / 1e3) / 1e3;
  }

  session(id: string): string {
    return this.hashes.session(id);
  }

  value(session: string, name: string, bytes: Uint8Array): string {
    return this.hashes.value(session, name, bytes);
  }

  record(fact: TraceFact): void {
    if (!this.isOpen) return;
    this.lines += `${JSON.stringify({ at: this.now(), ...fact })}\n`;
    if (this.lines.length >= flushChars) return this.flush();
    this.cancelFlush ??= this.ports.after(flushMs, () => this.flush());
  }

  flush(): void {
    this.cancelFlush?.();
    this.cancelFlush = undefined;
    if (this.lines === '' || !this.isOpen) return;
    const bytes = Buffer.from(this.lines);
    this.lines = '';
    if (this.bytes + bytes.length > this.settings.maxBytes - spareBytes)
      return this.cut(`maxBytes is reached (${this.settings.maxBytes})`);
    try {
      this.write(bytes);
    } catch (error) {
      this.cut((error as Error).message);
    }
  }

  close(): void {
    this.flush();
    if (this.isOpen) this.end('closed');
  }

  private begin(): void {
    const { role, process: name } = this.ports;
    const head = {
      kind: 'head',
      version: traceVersion,
      state: stateText('open'),
      at: this.now(),
      wall: Date.now(),
      role,
      process: name,
      machine: this.hashes.machine(machineName()),
      key: this.hashes.fingerprint,
    } satisfies Omit<TraceHead, 'state'> & { state: string };
    const line = `${JSON.stringify(head)}\n`;
    this.statePosition = line.indexOf(head.state);
    this.write(Buffer.from(line));
  }

  private cut(why: string): void {
    try {
      // Some of the bytes may be written. The last record would overwrite only their beginning, and the
      // trace could not be read.
      ftruncateSync(this.file, this.bytes);
      this.write(Buffer.from(`${JSON.stringify({ at: this.now(), kind: 'cut', why })}\n`));
    } catch {
      // The head says it all the same: its bytes are there already.
    }
    this.end('cut');
    this.ports.warn(`the trace ${this.path} is cut: ${why}. Nothing more is written to it`);
  }

  private end(state: TraceHead['state']): void {
    this.isOpen = false;
    try {
      writeSync(this.file, stateText(state), this.statePosition);
      closeSync(this.file);
    } catch (error) {
      this.ports.warn(`the trace ${this.path} has no end: ${(error as Error).message}`);
    }
  }

  private write(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length;) {
      from += writeSync(this.file, bytes, from, bytes.length - from, this.bytes + from);
    }
    this.bytes += bytes.length;
  }
}

/** Always as long, so that it can be written over. */
const stateText = (state: TraceHead['state']) => state.padEnd(6);

/**
 * The same in all processes that share a monotonic clock. Where that is not known, every process has one of
 * its own.
 */
function machineName(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
  } catch {
    return `${hostname()} ${process.pid} ${Date.now()}`;
  }
}
