/**
 * The traces of a simulated deployment, as `locked-session verify` reads them: written by the same code as in
 * real processes, kept in memory, and judged by the same checker. What a killed process had not flushed is
 * lost.
 */
import { verifyTraces, type Report, type Trace, type TraceFact, type TraceSink } from '#trace';
import type { Process } from '../world/process.js';
import type { World } from '../world/world.js';

type Records = Trace['records'][number][];

export class Traces {
  private readonly traces: {
    readonly process: Process;
    readonly role: 'holder' | 'store';
    records: Records;
  }[] = [];
  private readonly values = new Map<string, string>();

  constructor(private readonly world: World) {}

  of(process: Process, role: 'holder' | 'store'): TraceSink {
    const trace = { process, role, records: [] as Records };
    this.traces.push(trace);
    let waiting: Records = [];
    return {
      now: () => this.world.time,
      session: (id) => id,
      value: (session, name, bytes) => this.valueOf(session, name, bytes),
      record: (fact: TraceFact) => {
        if (!process.isDead) waiting.push({ at: this.world.time, ...fact });
      },
      flush: () => {
        trace.records.push(...waiting);
        waiting = [];
      },
      close: () => {
        trace.records.push(...waiting);
        waiting = [];
      },
    };
  }

  verify(): Report {
    const traces = this.traces.map(({ process, role, records }): Trace => ({
      file: process.name,
      head: {
        kind: 'head',
        version: 1,
        state: process.isDead ? 'open' : 'closed',
        role,
        process: process.name,
        machine: 'world',
        key: 'key',
        at: 0,
        wall: 0,
      },
      records,
    }));
    return verifyTraces(traces);
  }

  private valueOf(session: string, name: string, bytes: Uint8Array): string {
    const text = `${session} ${name} ${Buffer.from(bytes).toString('latin1')}`;
    const known = this.values.get(text);
    if (known !== undefined) return known;
    const made = `value ${this.values.size + 1}`;
    this.values.set(text, made);
    return made;
  }
}
