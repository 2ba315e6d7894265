/**
 * First come, first served (rule 2), as it can be seen on the wire: who asked for a session when, and who is granted before others that asked first. What a store
 * decided is seen only when it speaks, all of a batch at once and in no order among holders: its grants are looked at in the order of their tokens.
 */
import { compareTokens, type HolderMessage, type StoreMessage, type Token } from '#protocol';

type Acquire = Extract<HolderMessage, { kind: 'acquire' }>;
type Knock = Extract<HolderMessage, { kind: 'knock' }>;
type Cancel = Extract<HolderMessage, { kind: 'cancel' }>;
type Grant = Extract<StoreMessage, { kind: 'grant' }>;
type Refused = Extract<StoreMessage, { kind: 'refused' }>;

interface Place {
  readonly holder: string;
  readonly request: number;
  /** Until then it surely waits, if nothing else is heard of it. */
  readonly deadline: number;
  /** The store may have seen it go and come again since, in an order that cannot be seen from outside: others may be granted first. */
  readonly unsure: boolean;
}

interface Spoken {
  readonly holder: string;
  readonly grant: Grant;
  readonly epoch: number;
  readonly turn: number;
  readonly at: number;
}

export class GrantOrder {
  private readonly lines = new Map<string, { turn: number; line: Place[] }>();
  /** Grants of the batch that is being told. */
  private batch: Spoken[] = [];
  private readonly sent = new Set<string>();
  private readonly returned = new Set<string>();
  /** In a turn: the last request of a holder that came out of a session's own queue, and the last that was cancelled before it did (rule 21). */
  private readonly taken = new Map<string, number>();
  private readonly cancels = new Map<string, number>();
  /** Requests that the store said to miss, and that may come once more. */
  private readonly missed = new Set<string>();
  private readonly gone = new Set<string>();

  constructor(
    private readonly violation: (what: string) => void,
    /** Clocks run this much fast or slow at most. */
    private readonly clockDrift: number,
  ) {}

  /** An acquire comes out of its session's own queue: what came before, or was cancelled, or whose holder has left, is passed over (rule 21). */
  tookOut(holder: string, acquire: Acquire, turn: number, now: number): void {
    const key = `${turn} ${acquire.session} ${holder}`;
    const { request } = acquire;
    if (this.gone.has(holder) || request <= (this.cancels.get(key) ?? -1)) return;
    const taken = this.taken.get(key) ?? -1;
    // Whether the store missed it before or after the first one came is not seen from outside: it has a place, or is passed over.
    const isMissed = request === taken && this.missed.has(`${key} ${request}`);
    if (request <= taken && !isMissed) return;
    this.taken.set(key, request);
    this.asked(holder, acquire, turn, now);
    const line = this.line(acquire.session, turn);
    const at = line.findIndex((one) => one.holder === holder);
    if (isMissed) line[at] = { ...line[at]!, unsure: true };
  }

  /** A waiter says that it still waits, for so long (rule 21). */
  knocked(holder: string, { session, request, waitMs }: Knock, turn: number, now: number): void {
    this.settle();
    const line = this.line(session, turn);
    const at = line.findIndex((one) => one.holder === holder && one.request === request);
    if (at >= 0) this.extend(line, at, waitMs, now);
  }

  /** A store reads a request in its turn, at `now`. */
  asked(holder: string, { session, request, waitMs }: Acquire, turn: number, now: number): void {
    this.settle();
    const line = this.line(session, turn);
    const at = line.findIndex((one) => one.holder === holder);
    if (line[at]?.request === request) return this.extend(line, at, waitMs, now);
    if (at >= 0) line.splice(at, 1);
    line.push({ holder, request, deadline: this.deadline(waitMs, now), unsure: false });
  }

  private extend(line: Place[], at: number, waitMs: number, now: number): void {
    const before = line[at]!;
    // Rule 2 keeps a waiter's place as long as its time is not over: whether it was, only the store's clock knows, and what it had decided by then.
    const unsure = before.unsure || before.deadline <= now;
    line[at] = { ...before, deadline: this.deadline(waitMs, now), unsure };
  }

  /** Rule 2: a deadline is told as a time from now, and counted by the store's clock. */
  private deadline(waitMs: number, now: number): number {
    return now + waitMs * (1 - this.clockDrift);
  }

  cancelled(holder: string, { session, request }: Cancel, turn: number): void {
    this.settle();
    const key = `${turn} ${session} ${holder}`;
    this.cancels.set(key, Math.max(request, this.cancels.get(key) ?? -1));
    this.take(this.line(session, turn), holder, request);
  }

  /** A holder gives a grant back. */
  gaveBack(holder: string, session: string, token: Token): void {
    this.settle();
    this.returned.add(nameOf(holder, session, token));
  }

  left(holder: string): void {
    this.settle();
    this.gone.add(holder);
    for (const { line } of this.lines.values()) {
      const at = line.findIndex((one) => one.holder === holder);
      if (at >= 0) line.splice(at, 1);
    }
  }

  refused(holder: string, { session, request, why }: Refused, turn: number): void {
    if (why === 'unheard') return void this.missed.add(`${turn} ${session} ${holder} ${request}`);
    const { line } = this.lines.get(session) ?? { line: [] };
    if (request !== undefined) this.take(line, holder, request);
  }

  /** A store of this epoch says a grant, at `at`. */
  granted(holder: string, grant: Grant, epoch: number, turn: number, at: number): void {
    const [first] = this.batch;
    if (first && (first.at !== at || first.turn !== turn)) this.settle();
    this.batch.push({ holder, grant, epoch, turn, at });
  }

  /** The batch has been told in full. */
  settle(): void {
    const { batch } = this;
    if (batch.length === 0) return;
    this.batch = [];
    batch.sort((a, b) => compareTokens(a.grant.token, b.grant.token));
    for (const one of batch) this.judge(one);
  }

  private judge({ holder, grant: { session, request, token }, epoch, turn, at: now }: Spoken): void {
    const line = this.line(session, turn);
    const at = line.findIndex((one) => one.holder === holder && one.request === request);
    const name = nameOf(holder, session, token);
    const isRepeat = this.sent.has(name) || token[0] < epoch;
    this.sent.add(name);
    if (at < 0) return; // an old duplicate of a request, taken for a new one: its grant will come back
    if (isRepeat) {
      // A repeated request, answered by the same grant again. If that was returned since, a later repeat may be in line (rule 12).
      if (this.returned.has(name)) line[at] = { ...line[at]!, unsure: true };
      else line.splice(at, 1);
      return;
    }
    for (const other of line.slice(0, at)) {
      // A request whose time is nearly over may be skipped (rule 2).
      if (other.unsure || other.deadline <= now + 1) continue;
      this.violation(`${session}: ${holder} is granted before ${other.holder}, who asked first`);
    }
    line.splice(at, 1);
  }

  private take(line: Place[], holder: string, request: number): void {
    const at = line.findIndex((one) => one.holder === holder && one.request === request);
    if (at >= 0) line.splice(at, 1);
  }

  /** Another owner begins anew: what waited is delivered to it in order. */
  private line(session: string, turn: number): Place[] {
    let line = this.lines.get(session);
    if (line?.turn !== turn) this.lines.set(session, (line = { turn, line: [] }));
    return line.line;
  }
}

function nameOf(holder: string, session: string, token: Token): string {
  return `${holder} ${session} ${token.join('.')}`;
}
