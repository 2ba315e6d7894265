/** Where drivers tell what they do. With tracing off there is no sink, and nothing is told. */
import type { TraceFact } from './records.js';

export interface TraceSink {
  /** Milliseconds of the machine's monotonic clock. */
  now(): number;
  /** The session's id as it stands in traces. */
  session(id: string): string;
  /**
   * A value as it stands in traces: the same for the same bytes of the same attribute of the same session.
   */
  value(session: string, name: string, bytes: Uint8Array): string;
  /** Notes what has just happened. */
  record(fact: TraceFact): void;
  /**
   * Hands everything to the operating system. To be called before a message leaves: then what others may have
   * seen of this process is in its trace, also when it is killed.
   */
  flush(): void;
  /** The process ends in order. */
  close(): void;
}
