/** The ports of a holder's driver: the broker, the time, and a log. */
import type { Broker, Clock, Log } from '#broker';
import type { TraceSink } from '#trace';

export interface HolderPorts {
  readonly broker: Pick<Broker, 'join'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Told what is done, where that is wanted. */
  readonly trace?: TraceSink | undefined;
}
