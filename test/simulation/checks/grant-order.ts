/**
 * Rule 2, first come, first served, as the wire shows it: when each holder asked for a session, and which one
 * is granted before another that asked first. A store sends the grants of a batch in no order among holders,
 * so they are judged in the order of their tokens.
 */
import { compareTokens, type HolderMessage, type StoreMessage, type Token } from '#protocol';
import { grantName } from './context.js';

type Acquire = Extract<HolderMessage, { kind: 'acquire' }>;
type Knock = Extract<HolderMessage, { kind: 'knock' }>;
type Cancel = Extract<HolderMessage, { kind: 'cancel' }>;
type Grant = Extract<StoreMessage, { kind: 'grant' }>;
type Refused = Extract<StoreMessage, { kind: 'refused' }>;

interface Place {
  readonly holder: string;
  readonly request: number;
  /** Until then it waits for sure, unless it cancels. */
  readonly deadline: number;
  /** The store may have seen it leave the queue and come again. Others may then be granted first. */
  readonly unsure: boolean;
}

interface SentGrant {
  readonly holder: string;
  readonly grant: Grant;
  readonly epoch: number;
  readonly ownership: number;
  readonly at: number;
}

export class GrantOrder {
  private readonly queues = new Map<string, { ownership: number; queue: Place[] }>();
  /** Grants of the batch that the store is sending. */
  private batch: SentGrant[] = [];
  private readonly sent = new Set<string>();
  private readonly returned = new Set<string>();
  /**
   * Rule 21, for each ownership: the last request of a holder from a session's own queue, and the last
   * cancelled before.
   */
  private readonly taken = new Map<string, number>();
  private readonly cancels = new Map<string, number>();
  /** Requests that the store reported as missing, and that may come once more. */
  private readonly missed = new Set<string>();
  private readonly gone = new Set<string>();

  constructor(
    private readonly violation: (what: string) => void,
    /** Clocks run this much fast or slow at most. */
    private readonly clockDrift: number,
  ) {}

  /**
   * Rule 21: of the acquires in a session's own queue the store skips repeats, cancelled ones, and those of
   * holders that left.
   */
  tookOut(holder: string, acquire: Acquire, ownership: number, now: number): void {
    const key = `${ownership} ${acquire.session} ${holder}`;
    const { request } = acquire;
    if (this.gone.has(holder) || request <= (this.cancels.get(key) ?? -1)) return;
    const taken = this.taken.get(key) ?? -1;
    // The wire does not show whether the store reported it before or after the first one came. It may be
    // skipped.
    const isMissed = request === taken && this.missed.has(`${key} ${request}`);
    if (request <= taken && !isMissed) return;
    this.taken.set(key, request);
    this.asked(holder, acquire, ownership, now);
    const queue = this.queue(acquire.session, ownership);
    const at = queue.findIndex((one) => one.holder === holder);
    if (isMissed) queue[at] = { ...queue[at]!, unsure: true };
  }

  /** Rule 21: a waiter still waits, for so long. */
  knocked(holder: string, { session, request, waitMs }: Knock, ownership: number, now: number): void {
    this.settle();
    const queue = this.queue(session, ownership);
    const at = queue.findIndex((one) => one.holder === holder && one.request === request);
    if (at >= 0) this.extend(queue, at, waitMs, now);
  }

  /** A store reads a request at `now`. */
  asked(holder: string, { session, request, waitMs }: Acquire, ownership: number, now: number): void {
    this.settle();
    const queue = this.queue(session, ownership);
    const at = queue.findIndex((one) => one.holder === holder);
    if (queue[at]?.request === request) return this.extend(queue, at, waitMs, now);
    if (at >= 0) queue.splice(at, 1);
    queue.push({ holder, request, deadline: this.deadline(waitMs, now), unsure: false });
  }

  private extend(queue: Place[], at: number, waitMs: number, now: number): void {
    const before = queue[at]!;
    // Rule 2 keeps a waiter's place until its deadline. Near the deadline only the store's clock decides.
    const unsure = before.unsure || before.deadline <= now;
    queue[at] = { ...before, deadline: this.deadline(waitMs, now), unsure };
  }

  /** Rule 2: a request carries its remaining time, which the store's clock counts. */
  private deadline(waitMs: number, now: number): number {
    return now + waitMs * (1 - this.clockDrift);
  }

  cancelled(holder: string, { session, request }: Cancel, ownership: number): void {
    this.settle();
    const key = `${ownership} ${session} ${holder}`;
    this.cancels.set(key, Math.max(request, this.cancels.get(key) ?? -1));
    this.take(this.queue(session, ownership), holder, request);
  }

  /** A holder gives a grant back. */
  gaveBack(holder: string, session: string, token: Token): void {
    this.settle();
    this.returned.add(grantName(holder, session, token));
  }

  left(holder: string): void {
    this.settle();
    this.gone.add(holder);
    for (const { queue } of this.queues.values()) {
      const at = queue.findIndex((one) => one.holder === holder);
      if (at >= 0) queue.splice(at, 1);
    }
  }

  refused(holder: string, { session, request, why }: Refused, ownership: number): void {
    if (why === 'unheard') return void this.missed.add(`${ownership} ${session} ${holder} ${request}`);
    const { queue } = this.queues.get(session) ?? { queue: [] };
    if (request !== undefined) this.take(queue, holder, request);
  }

  /** A store of this epoch sends a grant, at `at`. */
  granted(holder: string, grant: Grant, epoch: number, ownership: number, at: number): void {
    const [first] = this.batch;
    if (first && (first.at !== at || first.ownership !== ownership)) this.settle();
    this.batch.push({ holder, grant, epoch, ownership, at });
  }

  /** The batch is complete. */
  settle(): void {
    const { batch } = this;
    if (batch.length === 0) return;
    this.batch = [];
    batch.sort((a, b) => compareTokens(a.grant.token, b.grant.token));
    for (const one of batch) this.judge(one);
  }

  private judge({ holder, grant: { session, request, token }, epoch, ownership, at: now }: SentGrant): void {
    const queue = this.queue(session, ownership);
    const at = queue.findIndex((one) => one.holder === holder && one.request === request);
    const name = grantName(holder, session, token);
    const isRepeat = this.sent.has(name) || token[0] < epoch;
    this.sent.add(name);
    if (at < 0) return; // an old duplicate of a request: the holder will return the grant
    if (isRepeat) {
      // The store answers a repeated request by the same grant. If the holder returned that, a later repeat
      // may wait (rule 12).
      if (this.returned.has(name)) queue[at] = { ...queue[at]!, unsure: true };
      else queue.splice(at, 1);
      return;
    }
    for (const other of queue.slice(0, at)) {
      // Rule 2: the store may skip a request just before its deadline.
      if (other.unsure || other.deadline <= now + 1) continue;
      this.violation(`${session}: ${holder} is granted before ${other.holder}, who asked first`);
    }
    queue.splice(at, 1);
  }

  private take(queue: Place[], holder: string, request: number): void {
    const at = queue.findIndex((one) => one.holder === holder && one.request === request);
    if (at >= 0) queue.splice(at, 1);
  }

  /**
   * Another owner begins with an empty queue. It is delivered in order what waited. The one before may still
   * speak until it learns of its loss, which changes nothing.
   */
  private queue(session: string, ownership: number): Place[] {
    let queue = this.queues.get(session);
    if (queue && queue.ownership > ownership) return [];
    if (queue?.ownership !== ownership) this.queues.set(session, (queue = { ownership, queue: [] }));
    return queue.queue;
  }
}
