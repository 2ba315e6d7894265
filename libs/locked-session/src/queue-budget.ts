/**
 * How many queues of sessions this process makes (layout `per-session`, rule 21): so many a second, and so many in all that RabbitMQ may still have. A queue costs it several
 * milliseconds and tens of kilobytes, so that a flood of new sessions would be felt by everybody else.
 */
export interface QueueBudgetSettings {
  /** New queues a second, in the long run; as many at once after a pause. */
  readonly sessionQueuesPerSecond: number;
  /** Queues that were used within `sessionQueueExpiresMs`. */
  readonly sessionQueues: number;
  /** RabbitMQ removes a queue that was not used for so long, in milliseconds. */
  readonly sessionQueueExpiresMs: number;
}

export class QueueBudget {
  /** When the queue of each session was last used, by the monotonic clock; least recently first. */
  private readonly used = new Map<string, number>();
  private allowance: number;
  private filledAt = -Infinity;

  constructor(private readonly settings: QueueBudgetSettings) {
    this.allowance = settings.sessionQueuesPerSecond;
  }

  /** Undefined when the session's queue may be used at `mono`; else which limit it would break, and what to do. */
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
