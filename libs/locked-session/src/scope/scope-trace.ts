/**
 * Tells a trace what a root scope does, with its family: when it has its locks, what it reads, what it
 * changes, and how it ends. What it read is told with its next change, or at its end.
 */
import type { ChangeSet, HeldGrant } from '#protocol';
import type { HashedValues, ScopeOutcome, TraceSink } from '#trace';
import { LockedSessionError } from '../errors.js';

/** Errors after which nothing is applied that was not acknowledged. */
const refusing: ReadonlySet<string> = new Set(['lock-lost', 'id-taken']);

/** All scopes of a process that are traced: they are told apart by their numbers. */
export class ScopeTraces {
  private scopes = 0;

  constructor(private readonly sink: TraceSink) {}

  begin(session: string): ScopeTrace {
    return new ScopeTrace(this.sink, ++this.scopes, session);
  }
}

export class ScopeTrace {
  private readonly asked: number;
  private began: number;
  private left: number | undefined;
  private seen = new Map<string, Uint8Array | undefined>();

  constructor(
    private readonly sink: TraceSink,
    private readonly scope: number,
    private readonly session: string,
  ) {
    this.asked = this.began = sink.now();
  }

  /** It has its locks. */
  begins(): void {
    this.began = this.sink.now();
  }

  /** Of what it holds, not of what it has made itself. */
  reads(name: string, bytes: Uint8Array | undefined): void {
    this.seen.set(name, bytes);
  }

  /** All that is held. */
  readsAll({ attributes }: HeldGrant): void {
    for (const [name, { bytes }] of attributes) this.reads(name, bytes);
  }

  /** Before the message leaves. */
  changes({ token: [epoch, n] }: HeldGrant, seq: number, { set, removed }: ChangeSet): void {
    const made: HashedValues = removed.map((name) => [name, null]);
    for (const [name, bytes] of set) made.push([name, this.sink.value(this.session, name, bytes)]);
    const { scope, began } = this;
    const session = this.sink.session(this.session);
    this.sink.record({
      kind: 'changed',
      session,
      token: [epoch, n],
      scope,
      seq,
      began,
      read: this.takeRead(),
      made,
    });
  }

  /** It has left its locks, or ended its session. The first call counts. */
  leaves(): void {
    this.left ??= this.sink.now();
  }

  /** What has become of it. `seen` is the highest seq whose effect it saw or made. */
  ends(outcome: ScopeOutcome, grant: HeldGrant | undefined, seen: number): void {
    this.leaves();
    const { asked, began, scope } = this;
    const [epoch, n] = grant?.token ?? [0, 0];
    this.sink.record({
      kind: 'scope',
      session: this.sink.session(this.session),
      scope,
      token: [epoch, n],
      outcome,
      asked,
      began,
      left: this.left!,
      read: this.takeRead(),
      seen,
      durable: grant !== undefined && grant.acknowledged >= seen,
    });
  }

  private takeRead(): HashedValues {
    const { seen } = this;
    if (seen.size === 0) return [];
    this.seen = new Map();
    return [...seen].map(([name, bytes]) => [
      name,
      bytes ? this.sink.value(this.session, name, bytes) : null,
    ]);
  }
}

/** What an error says of a scope that had begun. */
export function outcomeOf(error: unknown): ScopeOutcome {
  return error instanceof LockedSessionError && refusing.has(error.code) ? 'lost' : 'unknown';
}
