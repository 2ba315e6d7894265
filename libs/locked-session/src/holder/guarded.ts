/**
 * Guards the calls that come into the library from timers, the broker and signals. No caller would catch an
 * error there, and it would end the application's process. So each callback of the ports has a guard around
 * it.
 */
import { calmLog, type Log } from '#broker';
import type { HolderPorts } from './holder-ports.js';

/** The same ports. Errors in their callbacks are caught and logged, and the log itself never throws. */
export function guarded<P extends HolderPorts>(ports: P): P {
  const { broker, clock } = ports;
  const log = calmLog(ports.log);
  const guard =
    <Args extends unknown[]>(what: string, task: (...args: Args) => void) =>
    (...args: Args): void =>
      attempt(log, what, () => task(...args));
  const join: HolderPorts['broker']['join'] = (holder, client) =>
    broker.join(holder, {
      connected: guard('a new connection', (queue) => client.connected(queue)),
      disconnected: guard('a lost connection', (reason) => client.disconnected(reason)),
      received: guard('a frame', (bytes) => client.received(bytes)),
      returned: guard('a frame that came back', (key) => client.returned(key)),
    });
  return {
    ...ports,
    log,
    clock: {
      now: () => clock.now(),
      soon: (task) => clock.soon(guard('the end of a turn', task)),
      afterPromises: (task) => clock.afterPromises(guard('the end of a turn', task)),
      after: (delayMs, task) => clock.after(delayMs, guard('a timer', task)),
      keepAlive: () => clock.keepAlive(),
    },
    broker: { join },
  };
}

/**
 * Runs the task. An error in it is a fault of this library. It is logged, and given to `failed`, which must
 * not throw.
 */
export function attempt(log: Log, what: string, task: () => void, failed?: (error: unknown) => void): void {
  try {
    task();
  } catch (error) {
    logError(log, what, error);
    failed?.(error);
  }
}

export function logError(log: Log, what: string, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : `a ${typeof error}`;
  log.error(`${what} was not handled. This is an error in locked-session, please report it. ${text}`);
}
