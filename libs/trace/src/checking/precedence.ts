/**
 * Which operations of a search have their place already, and which may come next: those that began before any
 * other one that is left had ended. Clocks of two machines are compared only as exactly as they agree.
 */
import type { Operation } from './operation.js';

export class Precedence {
  /** A list of what is left, by index, which begins behind `head`. */
  private readonly next: number[];
  private readonly previous: number[];
  private readonly head: number;
  private readonly machines: readonly string[];
  /** What was placed, in order, with the highest index among it. */
  private readonly taken: { readonly index: number; readonly highest: number }[] = [];

  /** `operations` in the order of their beginnings. */
  constructor(
    private readonly operations: readonly Operation[],
    private readonly clockErrorMs: number,
  ) {
    const count = (this.head = operations.length);
    this.machines = [...new Set(operations.map(({ machine }) => machine))];
    this.next = Array.from({ length: count + 1 }, (_, index) => (index === count ? 0 : index + 1));
    this.previous = Array.from({ length: count + 1 }, (_, index) => (index === 0 ? count : index - 1));
  }

  take(index: number): void {
    const [before, behind] = [this.previous[index]!, this.next[index]!];
    this.next[before] = behind;
    this.previous[behind] = before;
    this.taken.push({ index, highest: Math.max(index, this.highest) });
  }

  /** Undoes the last `take`. */
  putBack(): void {
    const { index } = this.taken.pop()!;
    this.next[this.previous[index]!] = index;
    this.previous[this.next[index]!] = index;
  }

  /** Required ones first, by their ends: that is nearly always the order. */
  candidates(): number[] {
    const found: number[] = [];
    const ends = new Map<string, number>();
    let limits = this.limitsOf(ends);
    for (let index = this.next[this.head]!; index !== this.head; index = this.next[index]!) {
      const { begin, end, machine, optional } = this.operations[index]!;
      if (begin > limits.latest) break;
      if (begin > limits.of(machine)) continue;
      found.push(index);
      if (optional || end >= (ends.get(machine) ?? Infinity)) continue;
      ends.set(machine, end);
      limits = this.limitsOf(ends);
    }
    const late = (index: number) => {
      const { optional, end } = this.operations[index]!;
      return optional ? Number.MAX_VALUE : end;
    };
    return found.sort((a, b) => late(a) - late(b) || a - b);
  }

  /** When an operation must have begun to come next, by the first end on each machine of what is left. */
  private limitsOf(ends: ReadonlyMap<string, number>) {
    const first = Math.min(...ends.values());
    const of = (machine: string) => Math.min(ends.get(machine) ?? Infinity, first + this.clockErrorMs);
    return { of, latest: Math.max(...this.machines.map(of)) };
  }

  /** The same text when the same operations are placed: the highest one, and those below that are not. */
  key(): string {
    const { highest } = this;
    const holes: number[] = [];
    for (let index = this.next[this.head]!; index < highest; index = this.next[index]!) holes.push(index);
    return `${highest}:${holes.join()}`;
  }

  private get highest(): number {
    return this.taken.at(-1)?.highest ?? -1;
  }
}
