/**
 * Limits the queues of sessions that this process makes (layout `per-session`, rule 21), by number a second
 * and in all. A queue costs RabbitMQ several milliseconds and tens of kilobytes. So a flood of new sessions
 * would slow down everybody else.
 */
export interface QueueBudgetSettings {
  /** New queues a second, in the long run. After a pause as many may be made at once. */
  readonly sessionQueuesPerSecond: number;
  /** Most queues that this process has used within `sessionQueueExpiresMs`. */
  readonly sessionQueues: number;
  /** RabbitMQ removes a queue that nobody used for this long, in milliseconds. */
  readonly sessionQueueExpiresMs: number;
}

export class QueueBudget {
  /** The last use of each session's queue, by the monotonic clock. The least recently used comes first. */
  private readonly used = new Map<string, number>();
  private allowance: number;
  private filledAt = -Infinity;

  constructor(private readonly settings: QueueBudgetSettings) {
    this.allowance = settings.sessionQueuesPerSecond;
  }

  /**
   * Undefined when the session's queue may be used at `mono`. Else the limit that it would exceed, in words.
   */
  refuses(session: string, mono: number): string | undefined {
    const { sessionQueuesPerSecond, sessionQueues, sessionQueueExpiresMs } = this.settings;
    for (const [idle, usedAt] of this.used) {
      if (mono - usedAt < sessionQueueExpiresMs) break;
      this.used.delete(idle);
    }
    if (!this.used.delete(session)) {
      const gained = (Math.max(0, mono - this.filledAt) / 1_000) * sessionQueuesPerSecond;
      this.allowance = Math.min(sessionQueuesPerSecond, this.allowance + gained);
      this.filledAt = mono;
      if (this.used.size >= sessionQueues)
        return `this process uses ${sessionQueues} of them at most (sessionQueues)`;
      if (this.allowance < 1)
        return `this process makes ${sessionQueuesPerSecond} new ones a second at most (sessionQueuesPerSecond)`;
      this.allowance--;
    }
    this.used.set(session, mono);
    return undefined;
  }
}
