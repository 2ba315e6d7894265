/**
 * Symmetry: a state in which two holders have changed places behaves as the one before. So all ways to
 * exchange the holders are tried, and the least fingerprint stands for all of them.
 */

/** Slots of holders, by the letter that begins each of their names, queues and marks. */
export const letters = 'abc';

/** A name of a holder, a queue or a mark: a letter and a number. */
const named = /\b[abc](?=\d)/g;

export class Folding {
  /** Each way to exchange the holders: the place of each slot. The first one leaves all as they are. */
  readonly places: readonly (readonly number[])[];
  private readonly numbers = new Map<string, number>();
  /** By way and number of a text: the number of the text with other names in it. */
  private readonly table: number[][];

  constructor(slots: number) {
    this.places = permutations(Array.from({ length: slots }, (_, slot) => slot));
    this.table = this.places.map(() => []);
  }

  get ways(): number {
    return this.places.length;
  }

  numberOf(text: string): number {
    const known = this.numbers.get(text);
    if (known !== undefined) return known;
    const number = this.numbers.size;
    this.numbers.set(text, number);
    for (const [way, places] of this.places.entries()) {
      const other = text.replace(named, (letter) => letters[places[letters.indexOf(letter)] ?? 0]!);
      this.table[way]![number] = other === text ? number : this.numberOf(other);
    }
    return number;
  }

  /** The number of a text after the exchange. */
  exchanged(number: number, way: number): number {
    return this.table[way]![number]!;
  }
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}
