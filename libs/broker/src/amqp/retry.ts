/** The one back-off loop of the AMQP adapter, for connections and channels. */
import { setTimeout as pause } from 'node:timers/promises';

export interface Retry {
  /**
   * Resolves with the reason of a failure. Resolves with nothing when it ended as it should, and then the
   * next try follows at once.
   */
  attempt(): Promise<string | undefined>;
  /** Is called for each failure. */
  failed(reason: string): void;
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Tries until `signal` is aborted. An attempt that lasted longer than `maxMs` counts as a success, so the
 * next pause is the shortest.
 */
export async function keepTrying(
  { attempt, failed, minMs, maxMs }: Retry,
  signal: AbortSignal,
): Promise<void> {
  const isOver = () => signal.aborted;
  for (let failures = 0; !isOver();) {
    const since = performance.now();
    const reason = await attempt();
    if (isOver()) return;
    if (reason === undefined) {
      failures = 0;
      continue;
    }
    failed(reason);
    failures = performance.now() - since > maxMs ? 1 : failures + 1;
    const delayMs = backOffMs(failures, minMs, maxMs, Math.random());
    await pause(delayMs, undefined, { signal }).catch(() => {});
  }
}

/**
 * The pause doubles with every failure, up to `maxMs`. `random` (0 to 1) takes off up to a half, so that many
 * processes spread out.
 */
export function backOffMs(failures: number, minMs: number, maxMs: number, random: number): number {
  if (failures === 0) return 0;
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 30));
  return ceiling * (1 - random / 2);
}
