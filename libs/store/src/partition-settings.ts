/** What the driver of a partition is given. */
import type { Clock, Log } from '#broker';
import type { StoreParameters } from '#protocol';
import type { SessionRepository } from '#repository';
import type { TraceSink } from '#trace';
import type { BatchLoop } from './batch-loop.js';
import type { Outbox } from './outbox.js';
import type { PartitionIncidents } from './partition-incidents.js';

export interface PartitionPorts {
  readonly repository: SessionRepository;
  readonly clock: Clock;
  readonly log: Log;
  /** Is told what the store does, where tracing is set. */
  readonly trace?: TraceSink | undefined;
  readonly loop: BatchLoop;
  readonly incidents: PartitionIncidents;
  /** Takes what is sent and settled. */
  readonly outbox: Outbox;
  /** Sends an echo through the store's own queue. False when there is none. */
  readonly echoDirect: (partition: number, mark: number) => boolean;
  /** Is called with the reason when this store can never serve again. */
  readonly ended: (error: Error) => void;
}

export interface PartitionSettings extends StoreParameters {
  /** How often a partition looks for sessions that are due, in milliseconds. */
  readonly expiryScanMs: number;
  /**
   * The pause after a failure, before the partition is given up. It doubles with each failure, up to
   * `retryMaxMs`. In milliseconds.
   */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}
