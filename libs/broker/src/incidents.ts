/**
 * Log lines about many things that fail together, such as the channels of one connection. An incident has one
 * line when it begins, another now and then while it lasts, and one when it is over.
 */
import type { Clock } from './clock.js';

/** Failures within this time are one incident, in milliseconds. */
const gatherMs = 100;
/** The shortest time between two lines about failures, in milliseconds. */
const sayEveryMs = 10_000;
/** Most names in one line. */
const maxNames = 3;

export interface IncidentWords {
  /** `count` things have failed. `names` has the first of them. */
  failed(names: string, count: number, reason: string): void;
  /** They work again. `left` others do not yet. */
  over(names: string, count: number, left: number, seconds: string): void;
}

export class IncidentLog {
  private readonly failing = new Set<string>();
  private readonly unsaid = new Map<string, string>();
  /** Those whose failure is in the log, and whose end is not. */
  private readonly told = new Set<string>();
  private readonly recovered = new Set<string>();
  private since = 0;
  private saidAt = -Infinity;
  private cancel: (() => void) | undefined;
  private dueAt = 0;

  constructor(
    private readonly clock: Clock,
    private readonly words: IncidentWords,
  ) {}

  failed(name: string, reason: string): void {
    if (this.failing.size === 0 && this.recovered.size === 0) this.since = this.clock.now().mono;
    this.failing.add(name);
    this.recovered.delete(name);
    this.unsaid.set(name, reason);
    this.sayLater(this.dueInMs);
  }

  over(name: string): void {
    if (!this.failing.delete(name)) return;
    this.recovered.add(name);
    if (this.told.has(name)) this.unsaid.delete(name);
    this.sayLater(this.unsaid.has(name) ? this.dueInMs : 0);
  }

  /** Writes no more lines. */
  close(): void {
    this.cancel?.();
    this.failing.clear();
    this.unsaid.clear();
    this.recovered.clear();
  }

  private get dueInMs(): number {
    return this.saidAt + sayEveryMs - this.clock.now().mono;
  }

  private sayLater(delayMs: number): void {
    const afterMs = Math.max(gatherMs, delayMs);
    const dueAt = this.clock.now().mono + afterMs;
    if (this.cancel && this.dueAt <= dueAt) return;
    this.cancel?.();
    this.dueAt = dueAt;
    this.cancel = this.clock.after(afterMs, () => this.say());
  }

  private say(): void {
    this.cancel = undefined;
    const { unsaid, recovered, failing } = this;
    const now = this.clock.now().mono;
    if (unsaid.size > 0 && this.dueInMs <= 0) {
      const reasons = new Set(unsaid.values());
      const [first] = reasons;
      const reason = reasons.size === 1 ? first! : `${first}; others for other reasons`;
      this.words.failed(listed([...unsaid.keys()]), unsaid.size, reason);
      for (const name of unsaid.keys()) this.told.add(name);
      unsaid.clear();
      this.saidAt = now;
    }
    const said = [...recovered].filter((name) => !unsaid.has(name));
    if (said.length > 0) {
      const seconds = ((now - this.since) / 1000).toFixed(1);
      this.words.over(listed(said), said.length, failing.size, seconds);
      for (const name of said) {
        recovered.delete(name);
        this.told.delete(name);
      }
    }
    if (unsaid.size > 0) this.sayLater(this.dueInMs);
  }
}

/** The first names, and how many more there are. */
function listed(names: readonly string[]): string {
  const shown = names.length > maxNames + 1 ? names.slice(0, maxNames) : names;
  const more = names.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
