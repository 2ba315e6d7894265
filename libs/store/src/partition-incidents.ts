/**
 * The log lines about partitions that a store loses or cannot serve: one line an incident, not one a
 * partition.
 */
import { IncidentLog, type Clock, type Log } from '#broker';

export class PartitionIncidents {
  private readonly lost: IncidentLog;
  private readonly failing: IncidentLog;
  private readonly older: IncidentLog;
  private readonly unbelievable: IncidentLog;

  constructor(clock: Clock, log: Log) {
    const partitions = (names: string, count: number) => `partition${count === 1 ? '' : 's'} ${names}`;
    this.lost = new IncidentLog(clock, {
      failed: (names, count, reason) =>
        log.warn(`${partitions(names, count)} ${count === 1 ? 'is' : 'are'} given up: ${reason}`),
      over: () => {},
    });
    this.failing = new IncidentLog(clock, {
      failed: (names, count, reason) =>
        log.error(
          `${partitions(names, count)} cannot be served (${reason}): nothing is acknowledged there until ` +
            'it works again',
        ),
      over: (names, count, left, seconds) =>
        log.log(
          `${partitions(names, count)} ${count === 1 ? 'is' : 'are'} served again after ${seconds} s` +
            (left > 0 ? `; ${left} more with their next request` : ''),
        ),
    });
    this.older = new IncidentLog(clock, {
      failed: (names, count) =>
        log.error(
          `${partitions(names, count)}: app servers have met that, and the data of this store do not ` +
            'know it, so they are ' +
            'older than what was served before. What was acknowledged since is gone, and nobody goes on ' +
            'with it. If nobody put ' +
            'an old copy back on purpose, stop all stores and look for newer data',
        ),
      over: () => {},
    });
    this.unbelievable = new IncidentLog(clock, {
      failed: (names, count) =>
        log.error(
          `app server${count === 1 ? '' : 's'} ${names}: frames that show this are dropped, since it is ` +
            'a time more than a day ' +
            "ahead of this store's clock. Set the store's clock right; if it is right, restart those app " +
            'servers',
        ),
      over: () => {},
    });
  }

  /** A holder knows an epoch of the partition that the data do not know. */
  dataAreOlder(partition: number, shown: number): void {
    const name = `${partition} (epoch ${shown})`;
    this.older.failed(name, '');
    this.older.over(name);
  }

  /** A holder shows an epoch that cannot be one of ours. */
  cannotBelieve(holder: string, shown: number): void {
    const name = `${holder} (epoch ${shown})`;
    this.unbelievable.failed(name, '');
    this.unbelievable.over(name);
  }

  /** The turn is over. Another store may own the partition now. */
  givenUp(partition: number, reason: string): void {
    this.lost.failed(String(partition), reason);
    this.lost.over(String(partition)); // the next owner is not known here
  }

  /** The repository failed, and the partition is claimed again. */
  failed(partition: number, reason: string): void {
    this.failing.failed(String(partition), reason);
  }

  served(partition: number): void {
    this.failing.over(String(partition));
  }

  close(): void {
    this.lost.close();
    this.failing.close();
    this.older.close();
    this.unbelievable.close();
  }
}
