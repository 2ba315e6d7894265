// Properties of the checker: it finds nothing wrong with histories of a model that keeps its promises, with
// killed processes and late answers; and it finds what is wrong as soon as one read is of a value that was
// replaced before.
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import type { RecordOf } from '../records.js';
import { madeHolder, madeStore, type MadeTrace, type Values } from '../testing/made-traces.js';
import { verifyTraces } from './verify.js';

vi.setConfig({ testTimeout: 60_000 });

const attribute = fc.constantFrom('a', 'b', 'c');

/**
 * What one scope does: it reads one attribute, may change others, and is answered some time after it has
 * left.
 */
const scope = fc.record({
  reads: attribute,
  makes: fc.uniqueArray(attribute, { maxLength: 2 }),
  removes: fc.boolean(),
  insideMs: fc.integer({ min: 1, max: 20 }),
  answerMs: fc.integer({ min: 1, max: 30 }),
});

/**
 * A process holds the session for some scopes; the last one may be killed in it, and its change may be
 * applied.
 */
const turn = fc.record({
  process: fc.integer({ min: 0, max: 2 }),
  scopes: fc.array(scope, { minLength: 1, maxLength: 4 }),
  end: fc.constantFrom('released', 'released', 'killed', 'killed and applied'),
  pauseMs: fc.integer({ min: 0, max: 40 }),
});

const turns = fc.array(turn, { minLength: 2, maxLength: 12 });
type Turn = typeof turn extends fc.Arbitrary<infer T> ? T : never;
type Scope = Turn['scopes'][number];

/** A read in a trace, and a value that had been replaced for certain before it began. */
interface Replaced {
  readonly record: RecordOf<'changed'> | RecordOf<'scope'>;
  readonly name: string;
  readonly old: string;
}

/** The model: one state, and one process at a time that may change it. */
class Model {
  readonly made: MadeTrace[] = [madeStore()];
  readonly replaced: Replaced[] = [];
  private readonly state = new Map<string, string>();
  /** Of an attribute: the value before the last change, and when that change was acknowledged. */
  private readonly before = new Map<string, { readonly value: string; readonly since: number }>();
  private readonly live = new Map<number, MadeTrace>();
  private now = 10;
  private answered = 0;
  private values = 0;
  private grants = 0;

  play({ process, scopes, end, pauseMs }: Turn): void {
    const token = [1, ++this.grants] as const;
    const holder = this.live.get(process) ?? madeHolder(`holder ${this.made.length}`);
    if (!this.live.has(process)) this.made.push(holder);
    this.live.set(process, holder);
    const asked = this.now;
    this.now += pauseMs + 1;
    holder.granted(asked, this.now, token, Object.fromEntries(this.state));
    let seq = 0;
    for (const [at, one] of scopes.entries()) {
      const isLast = at === scopes.length - 1;
      if (one.makes.length > 0) seq++;
      if (isLast && end !== 'released')
        this.killed(holder, one, { token, seq }, end === 'killed and applied');
      else this.visit(holder, one, { token, seq });
    }
    if (end !== 'released') this.live.delete(process);
  }

  report = () => verifyTraces(this.made.map(({ trace }) => trace));

  private visit(
    holder: MadeTrace,
    one: Scope,
    under: { token: readonly [number, number]; seq: number },
  ): void {
    const { insideMs, answerMs, reads: name } = one;
    const makes = this.valuesOf(one);
    const [from, to] = [this.now + 0.5, this.now + 0.5 + insideMs];
    // Answers come in the order of the changes.
    const answered = (this.answered = Math.max(this.answered, to + answerMs));
    const reads = { [name]: this.state.get(name) ?? null };
    holder.scope({ ...under, from, to, answered, reads, ...(one.makes.length > 0 && { makes }) });
    this.now = to;
    const record = holder.records.findLast((one) => 'read' in one && one.read.length > 0);
    const before = this.before.get(name);
    if (before && before.since < from)
      this.replaced.push({ record: record as Replaced['record'], name, old: before.value });
    this.apply(makes, answered);
  }

  private killed(
    holder: MadeTrace,
    one: Scope,
    under: { token: readonly [number, number]; seq: number },
    isApplied: boolean,
  ): void {
    const makes = this.valuesOf(one);
    const [from, to] = [this.now + 0.5, this.now + 0.5 + one.insideMs];
    if (one.makes.length > 0) holder.scope({ ...under, from, to, makes, outcome: 'none' });
    this.now = to;
    if (isApplied) this.apply(makes, Infinity);
  }

  private apply(makes: Values, since: number): void {
    for (const [name, value] of Object.entries(makes)) {
      const was = this.state.get(name);
      if (value === null) this.state.delete(name);
      else this.state.set(name, value);
      if (was !== undefined) this.before.set(name, { value: was, since });
    }
  }

  private valuesOf({ makes, removes }: Scope): Values {
    return Object.fromEntries(
      makes.map((name) => [name, removes ? null : `value ${++this.values}`] as const),
    );
  }
}

function played(history: readonly Turn[]): Model {
  const model = new Model();
  for (const one of history) model.play(one);
  return model;
}

it('nothing is wrong with a history of the model', () => {
  fc.assert(
    fc.property(turns, (history) => {
      expect(played(history).report()).toMatchObject({ verdict: 'ok', findings: [], notKnown: [] });
    }),
    { numRuns: 300 },
  );
});

it('one read of a value that had been replaced is found', () => {
  fc.assert(
    fc.property(turns, fc.nat(), (history, pick) => {
      const model = played(history);
      fc.pre(model.replaced.length > 0);
      const { record, name, old } = model.replaced[pick % model.replaced.length]!;
      record.read = [[name, old]];
      const { verdict, findings } = model.report();
      expect(verdict).toBe('violation');
      expect(findings[0]!.what).toContain(`saw '${name}' as ${old}`);
    }),
    { numRuns: 300 },
  );
});

it('a value of nobody is found', () => {
  fc.assert(
    fc.property(turns, fc.nat(), (history, pick) => {
      const model = played(history);
      // Not the first one: what was there before the traces began is not known.
      const [, ...grants] = model.made.flatMap(({ records }) =>
        records.filter((record) => record.kind === 'granted'),
      );
      const grant = grants.toSorted((a, b) => a.at - b.at)[pick % grants.length]!;
      grant.state.push(['d', 'of nobody']);
      expect(model.report().findings.map(({ kind }) => kind)).toEqual(['mixed']);
    }),
    { numRuns: 100 },
  );
});
