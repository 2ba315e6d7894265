/** A scope that begins in one call and ends in another, since a request lasts from call to call. */
import { AsyncResource } from 'node:async_hooks';
import type { LockedSessions, RunOptions, Scope, VisitOptions } from '#locked-session';

export class OpenScope {
  private constructor(
    readonly scope: Scope,
    private readonly close: { well(): void; badly(error: unknown): void },
    /** Calls a function within the scope's asynchronous context. */
    readonly inside: (task: () => void) => void,
    private readonly over: () => Promise<void>,
  ) {}

  /** Resolves when the scope has its locks. Rejects as `run` does. */
  static enter(
    sessions: LockedSessions,
    id: string,
    options: RunOptions,
    by: VisitOptions,
  ): Promise<OpenScope> {
    return new Promise((entered, refused) => {
      const visit: Promise<void> = sessions.visit(id, options, by, (scope) => {
        const inside = AsyncResource.bind((task: () => void) => task());
        return new Promise<void>((well, badly) =>
          entered(new OpenScope(scope, { well, badly }, inside, () => visit)),
        );
      });
      visit.catch(refused);
    });
  }

  /** Leaves the locks. Resolves when the scope has ended. Rejects as `run` does. */
  leave(): Promise<void> {
    this.close.well();
    return this.over();
  }

  /** Drops what was not made durable, and leaves the locks. Resolves when the scope has ended. */
  async drop(): Promise<void> {
    this.close.badly(new Error('the changes are dropped'));
    await this.over().catch(() => {});
  }
}
