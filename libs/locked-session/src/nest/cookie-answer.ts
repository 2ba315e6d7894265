/**
 * The cookie in an answer to a client. A scope decides it. It is checked once more at the last moment before
 * the head leaves, since other answers to the same cookie may have left meanwhile. An old cookie that comes
 * after that of a new login would leave its visitor with a destroyed session (rule 17).
 */
import { durableIdOf, isCurrent } from '../scope/outcome.js';
import type { Scope } from '../scope/scope.js';
import type { SessionCookie } from './session-cookie.js';

/** The cookies that an answer may send. */
export interface CookiePlan {
  /** It is sent again while its session stays. */
  readonly renews?: boolean;
  /**
   * It is cleared when the handler destroys the session. But not for a session that was destroyed before: a
   * slow answer might clear the cookie of a new login (rule 17).
   */
  readonly clears?: boolean;
}

/** The answers under way to requests with one cookie. */
interface Line {
  answers: number;
  /** How many of them have decided to replace or clear it. The last decision counts. */
  decisions: number;
}

/** The answers under way, by cookie. There are no more entries than requests. */
export class CookieLines {
  private readonly lines = new Map<string, Line>();

  /** Adds an answer to a request with the cookie of session `id`. `leave` must follow. */
  join(id: string): Line {
    let line = this.lines.get(id);
    if (!line) this.lines.set(id, (line = { answers: 0, decisions: 0 }));
    line.answers++;
    return line;
  }

  leave(id: string, line: Line): void {
    if (--line.answers === 0) this.lines.delete(id);
  }

  /** The number of cookies with an answer under way. */
  get size(): number {
    return this.lines.size;
  }
}

export class CookieAnswer {
  private readonly line: Line | undefined;
  private text: (() => string | undefined) | undefined;
  /** Decides at the last moment, for a nested scope. */
  private late: (() => void) | undefined;
  /** The session whose id the answer tells, unless another answer has overtaken it. */
  told: string | undefined;
  private isOver = false;

  /** `brought` is the session of the request's cookie. `byTls` tells whether the answer goes by TLS. */
  constructor(
    private readonly cookie: SessionCookie,
    private readonly lines: CookieLines,
    private readonly brought: string | undefined,
    private readonly byTls: () => boolean,
  ) {
    this.line = brought === undefined ? undefined : lines.join(brought);
  }

  /**
   * To be called when the scope's changes are durable, and also when it has failed: it may have made some
   * durable before. The client learns the id of a session that the store has, and no other (rules 16 and 17).
   */
  decide(scope: Scope, plan: CookiePlan): void {
    // The handler ran inside another run of its session. Only the end of that one decides about the session.
    if (scope.parent) this.late = () => this.decide(scope.root, plan);
    else this.decideNow(scope, plan);
  }

  private decideNow(scope: Scope, { renews = false, clears = false }: CookiePlan): void {
    const { isNew } = scope;
    const isReplaced = scope.sessionEnd.isDone;
    const durableId = durableIdOf(scope);
    if (durableId !== undefined && (isReplaced || isNew)) {
      this.told = durableId;
      this.text = this.unlessOvertaken(() => this.cookie.write(durableId, this.byTls()));
    } else if (isReplaced) {
      this.told = undefined;
      if (clears) this.text = this.unlessOvertaken(() => this.cookie.clear(this.byTls()));
    } else if (renews && durableId !== undefined) {
      const { line } = this;
      const decisions = line?.decisions;
      this.text = () =>
        isCurrent(scope) && line?.decisions === decisions
          ? this.cookie.write(durableId, this.byTls())
          : undefined;
    }
  }

  /** The `Set-Cookie` for the head that leaves now. */
  leaving(): string | undefined {
    this.late?.();
    const text = this.text?.();
    this.over();
    return text;
  }

  /** The head has left, or will never leave. */
  over(): void {
    if (this.isOver || !this.line) return;
    this.isOver = true;
    this.lines.leave(this.brought!, this.line);
  }

  private unlessOvertaken(text: () => string): () => string | undefined {
    const { line } = this;
    if (!line) return text;
    const turn = ++line.decisions;
    return () => (line.decisions === turn ? text() : undefined);
  }
}
