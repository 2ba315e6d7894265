/**
 * The linearizability checker: looks for one order of a session's operations that real time allows and in
 * which each read what was there. It is the search of Wing and Gong, with Lowe's memory of what was tried.
 * The search goes by what was read and when; it knows nothing of tokens.
 */
import { after, mismatches, stateKey, unknownState, type Operation, type State } from './operation.js';
import { Precedence } from './precedence.js';

export interface SearchOptions {
  /** How far the clocks of two machines may differ, in milliseconds. */
  readonly clockErrorMs: number;
  /** Most states that are looked at, for one session. */
  readonly maxStates: number;
}

export type Search =
  | { readonly kind: 'linearizable' }
  /** The search was given up. */
  | { readonly kind: 'too-long' }
  | Impossible;

/** No order explains the history. */
export interface Impossible {
  readonly kind: 'impossible';
  /** The longest order that was found, and the state that it leads to. */
  readonly order: readonly Operation[];
  readonly state: State;
  /** What could come next, but read otherwise. What ended first stands first. */
  readonly stuck: readonly Operation[];
}

/** One step of the search: what may come next here, and which of it is being tried. */
interface Step {
  readonly state: State;
  readonly candidates: readonly number[];
  next: number;
  chosen: number | undefined;
}

export function linearize(operations: readonly Operation[], options: SearchOptions): Search {
  return new LinearSearch(useful(operations), options).run();
}

class LinearSearch {
  private readonly operations: readonly Operation[];
  private readonly precedence: Precedence;
  private readonly steps: Step[] = [];
  private readonly tried = new Set<string>();
  private readonly states = new Map<string, number>();
  /** Required operations that have a place now, and that there are. */
  private placed = 0;
  private readonly required: number;
  private best: { order: number[]; state: State; placed: number } | undefined;

  constructor(
    operations: readonly Operation[],
    private readonly options: SearchOptions,
  ) {
    this.operations = operations.toSorted((a, b) => a.begin - b.begin);
    this.precedence = new Precedence(this.operations, options.clockErrorMs);
    this.required = operations.filter(({ optional }) => !optional).length;
  }

  run(): Search {
    this.enter(unknownState);
    while (this.placed < this.required) {
      const step = this.steps.at(-1);
      if (!step) return this.impossible();
      this.undo(step);
      const index = step.candidates[step.next++];
      if (index === undefined) this.leave(step);
      else if (!this.tryNext(step, index)) return { kind: 'too-long' };
    }
    return { kind: 'linearizable' };
  }

  /** False when too many states were looked at. */
  private tryNext(step: Step, index: number): boolean {
    const operation = this.operations[index]!;
    if (mismatches(step.state, operation).length > 0) return true;
    const state = after(step.state, operation);
    this.precedence.take(index);
    step.chosen = index;
    if (!operation.optional) this.placed++;
    const key = `${this.precedence.key()} ${this.stateNumber(state)}`;
    if (this.tried.has(key)) return true; // it is undone with the next look at this step
    if (this.tried.size >= this.options.maxStates) return false;
    this.tried.add(key);
    this.enter(state);
    return true;
  }

  private enter(state: State): void {
    this.steps.push({ state, candidates: this.precedence.candidates(), next: 0, chosen: undefined });
  }

  /**
   * A dead end: the search goes back. The best one has most of what is required, and nothing that explains no
   * more.
   */
  private leave({ state }: Step): void {
    this.steps.pop();
    const { placed, steps, best } = this;
    if (best && (placed < best.placed || (placed === best.placed && steps.length >= best.order.length)))
      return;
    this.best = { order: steps.map(({ chosen }) => chosen!), state, placed };
  }

  private undo(step: Step): void {
    if (step.chosen === undefined) return;
    this.precedence.putBack();
    if (!this.operations[step.chosen]!.optional) this.placed--;
    step.chosen = undefined;
  }

  private impossible(): Impossible {
    const { order, state } = this.best!;
    const precedence = new Precedence(this.operations, this.options.clockErrorMs);
    for (const index of order) precedence.take(index);
    const at = (indices: readonly number[]) => indices.map((index) => this.operations[index]!);
    const stuck = at(precedence.candidates()).filter(
      (operation) => !operation.optional && mismatches(state, operation).length > 0,
    );
    return { kind: 'impossible', order: at(order), state, stuck };
  }

  private stateNumber(state: State): number {
    const key = stateKey(state);
    const number = this.states.get(key) ?? this.states.size;
    this.states.set(key, number);
    return number;
  }
}

/** Without those that may have had no effect, and of which nobody has seen any: they explain nothing. */
function useful(operations: readonly Operation[]): Operation[] {
  const read = new Set<string>();
  let isAbsenceRead = false;
  for (const { reads, readsAll } of operations) {
    for (const pair of reads) read.add(JSON.stringify(pair));
    isAbsenceRead ||= readsAll || [...reads.values()].includes(null);
  }
  return operations.filter(({ optional, writes, clears }) => {
    if (!optional) return true;
    const isRemoval = clears || [...writes.values()].includes(null);
    return (isRemoval && isAbsenceRead) || [...writes].some((pair) => read.has(JSON.stringify(pair)));
  });
}
