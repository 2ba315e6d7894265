/**
 * The states that were seen: their fingerprints in an open-addressed table of typed arrays, and for each the
 * move by which it was found first. 20 bytes a state at half load; a JavaScript Set ends at 16.7 million
 * entries and takes four times as much.
 */
export class Visited {
  /** How many states were seen. */
  size = 0;
  private slots = new Uint32Array(1 << 12);
  private high = new Int32Array(1 << 11);
  private low = new Int32Array(1 << 11);
  private from = new Uint32Array(1 << 11);
  private moves = new Uint8Array(1 << 11);

  /**
   * The number of a new state, found from state `from` by its move `move`; undefined when it was seen before.
   */
  add([high, low]: readonly [number, number], from: number, move: number): number | undefined {
    if (2 * (this.size + 1) > this.slots.length) this.grow();
    const mask = this.slots.length - 1;
    let at = (high ^ Math.imul(low, 0x9e3779b1)) & mask;
    for (let number; (number = this.slots[at]! - 1) >= 0; at = (at + 1) & mask)
      if (this.high[number] === high && this.low[number] === low) return undefined;
    const number = this.size++;
    this.slots[at] = number + 1;
    this.high[number] = high;
    this.low[number] = low;
    this.from[number] = from;
    this.moves[number] = move;
    return number;
  }

  /** The moves, by their places, that lead from the first state to this one. */
  wayTo(number: number): number[] {
    const way: number[] = [];
    for (let at = number; at > 0; at = this.from[at]!) way.push(this.moves[at]!);
    return way.reverse();
  }

  private grow(): void {
    const double = <T extends Int32Array | Uint32Array | Uint8Array>(old: T, made: T): T => {
      made.set(old);
      return made;
    };
    const size = this.slots.length;
    if (this.size >= size / 2 - 1) {
      this.high = double(this.high, new Int32Array(size));
      this.low = double(this.low, new Int32Array(size));
      this.from = double(this.from, new Uint32Array(size));
      this.moves = double(this.moves, new Uint8Array(size));
    }
    this.slots = new Uint32Array(2 * size);
    const mask = this.slots.length - 1;
    for (let number = 0; number < this.size; number++) {
      let at = (this.high[number]! ^ Math.imul(this.low[number]!, 0x9e3779b1)) & mask;
      while (this.slots[at] !== 0) at = (at + 1) & mask;
      this.slots[at] = number + 1;
    }
  }
}
