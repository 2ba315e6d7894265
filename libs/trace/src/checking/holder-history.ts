/**
 * What a holder's trace tells. A scope is one operation. If it committed on its way it is several, and each
 * of them has seen all that those before it had read and made: no other scope may have come between. A grant
 * is an operation, too: it reads the whole session.
 */
import type { HashedValues, RecordOf } from '../records.js';
import type { Operation, Value } from './operation.js';
import type { Gathering, Timed, Token } from './session-history.js';

/** Every change of a grant through `seq` was durable at `at`. */
interface Acknowledgement {
  readonly seq: number;
  readonly at: number;
}

export function holderHistory(trace: Timed, gathering: Gathering): void {
  const reading = new HolderReading(trace, gathering);
  for (const record of trace.records) {
    switch (record.kind) {
      case 'asked':
        reading.asked(record);
        break;
      case 'granted':
        reading.granted(record);
        break;
      case 'not-granted':
        reading.notGranted(record);
        break;
      case 'recalled':
        reading.recalled(record);
        break;
      case 'changed':
        reading.changed(record);
        break;
      case 'scope':
        reading.scope(record);
        break;
      case 'released':
        reading.released(record);
        break;
      case 'destroyed':
        reading.destroyed(record);
        break;
      default:
      // The rest is for people, or was read before.
    }
  }
  reading.end();
}

class HolderReading {
  private readonly acknowledgements = new Map<string, Acknowledgement[]>();
  private readonly askedAt = new Map<string, number>();
  private readonly recalledAt = new Map<string, number>();
  /** Changes of scopes that have not ended. */
  private readonly open = new Map<number, RecordOf<'changed'>[]>();
  private readonly process: string;
  private readonly machine: string;

  constructor(
    private readonly trace: Timed,
    private readonly gathering: Gathering,
  ) {
    ({ process: this.process, machine: this.machine } = trace.head);
    for (const record of trace.records) {
      if (record.kind !== 'acknowledged') continue;
      const key = keyOf(record.session, record.token);
      const list = this.acknowledgements.get(key);
      const one = { seq: record.seq, at: trace.time(record.at) };
      if (list) list.push(one);
      else this.acknowledgements.set(key, [one]);
    }
  }

  asked({ session, at }: RecordOf<'asked'>): void {
    if (!this.askedAt.has(session)) this.askedAt.set(session, at);
  }

  granted({ session, token, state, at }: RecordOf<'granted'>): void {
    const { trace, process } = this;
    const asked = this.askedAt.get(session) ?? at;
    this.waited('grant', session, asked, at, true);
    this.askedAt.delete(session);
    const history = this.gathering.of(session);
    history.grants.push({ process, token, at: trace.time(at) });
    history.operations.push({
      ...this.named(`the grant ${token.join('.')} to ${process}`, token),
      begin: trace.time(asked),
      end: trace.time(at),
      reads: new Map(state),
      readsAll: true,
    });
  }

  notGranted({ session, at }: RecordOf<'not-granted'>): void {
    const asked = this.askedAt.get(session);
    if (asked !== undefined) this.waited('grant', session, asked, at, false);
    this.askedAt.delete(session);
  }

  recalled({ session, token, at }: RecordOf<'recalled'>): void {
    const key = keyOf(session, token);
    if (!this.recalledAt.has(key)) this.recalledAt.set(key, at);
  }

  released({ session, token, at }: RecordOf<'released'>): void {
    const recalled = this.recalledAt.get(keyOf(session, token));
    if (recalled !== undefined) this.waited('release', session, recalled, at, true);
    this.recalledAt.delete(keyOf(session, token));
  }

  /** Destroyed by whatever: a scope, or what is left of one that failed. */
  destroyed({ session, token, seq, at }: RecordOf<'destroyed'>): void {
    const done = this.durableAt(session, token, seq);
    this.gathering.of(session).operations.push({
      ...this.named(`the destroy by ${this.process} under ${token.join('.')}`, token),
      begin: this.trace.time(at),
      end: done ?? Infinity,
      optional: done === undefined,
      clears: true,
    });
  }

  changed(record: RecordOf<'changed'>): void {
    const others = this.open.get(record.scope);
    if (others) others.push(record);
    else this.open.set(record.scope, [record]);
  }

  scope(record: RecordOf<'scope'>): void {
    const { session, scope, token, outcome, asked, began, left } = record;
    const changes = this.open.get(scope) ?? [];
    this.open.delete(scope);
    this.waited(
      'scope',
      session,
      asked,
      outcome === 'not-begun' ? record.at : began,
      outcome !== 'not-begun',
    );
    const known = this.changes(changes, record);
    if (outcome === 'not-begun' || !this.isSure(record)) return;
    const { process, machine, trace } = this;
    const name = this.nameOf(scope);
    const history = this.gathering.of(session);
    if (record.read.length > 0) {
      history.operations.push({
        ...this.named(name, token),
        begin: trace.time(changes.at(-1)?.at ?? began),
        end: trace.time(left),
        reads: seenWith(known, record.read),
      });
    }
    if (outcome === 'well')
      history.uses.push({ name, process, machine, token, from: trace.time(began), to: trace.time(left) });
  }

  /** What scopes made that never ended: their process was killed, or still runs. */
  end(): void {
    for (const changes of this.open.values()) this.changes(changes, undefined);
  }

  /** An operation for each change of a scope. Returns all that the scope had read and made by then. */
  private changes(
    changes: readonly RecordOf<'changed'>[],
    end: RecordOf<'scope'> | undefined,
  ): ReadonlyMap<string, Value> {
    let known: ReadonlyMap<string, Value> = new Map();
    let begin = changes[0]?.began;
    for (const change of changes) {
      const { session, seq, read, made, scope } = change;
      const reads = seenWith(known, read);
      known = new Map([...reads, ...made]);
      const token = change.token[0] === 0 && end ? end.token : change.token;
      const isDurable = this.durableAt(session, token, seq) !== undefined;
      const isSure = isDurable || (end !== undefined && this.isSure(end));
      if (!isSure && end?.outcome === 'lost') return known;
      this.gathering.of(session).operations.push({
        ...this.named(this.nameOf(scope), token),
        begin: this.trace.time(begin!),
        // The process has the lock for itself: whoever comes next in it, or is granted the session, sees the
        // change.
        end: isSure ? this.trace.time(change.at) : Infinity,
        optional: !isSure,
        reads,
        writes: new Map(made),
      });
      begin = change.at;
    }
    return known;
  }

  /** Whether its result says that what it read was true, and that what it made is durable. */
  private isSure({ session, token, outcome, durable, seen }: RecordOf<'scope'>): boolean {
    if (token[0] === 0 || (outcome !== 'well' && outcome !== 'threw')) return false;
    return durable || this.durableAt(session, token, seen) !== undefined;
  }

  private durableAt(session: string, token: Token, seq: number): number | undefined {
    const list = this.acknowledgements.get(keyOf(session, token)) ?? [];
    // They grow with time.
    let [from, to] = [0, list.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (list[middle]!.seq >= seq) to = middle;
      else from = middle + 1;
    }
    return list[from]?.at;
  }

  private waited(
    what: 'scope' | 'grant' | 'release',
    session: string,
    from: number,
    to: number,
    served: boolean,
  ) {
    const { process, trace, gathering } = this;
    gathering.waits.push({ what, process, session, at: trace.time(from), ms: to - from, served });
  }

  private nameOf(scope: number): string {
    return `scope ${scope} of ${this.process}`;
  }

  private named(name: string, token: Token) {
    const { process, machine } = this;
    const nothing: ReadonlyMap<string, Value> = new Map();
    const none = { optional: false, readsAll: false, clears: false, reads: nothing, writes: nothing };
    return { name, process, machine, token, ...none } satisfies Omit<Operation, 'begin' | 'end'>;
  }
}

/** What was known, and what was read since. What a scope made itself it does not read again. */
function seenWith(known: ReadonlyMap<string, Value>, read: HashedValues): ReadonlyMap<string, Value> {
  return new Map([...read, ...known]);
}

const keyOf = (session: string, token: Token) => `${session} ${token.join('.')}`;
