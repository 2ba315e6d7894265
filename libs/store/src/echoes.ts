/**
 * The echoes of a partition's owner (rule 10). What holders say comes through two queues, the partition's and
 * the store's own. So an echo goes through both. It has come back when it is back from both.
 */
/** Most echoes under way. The oldest ones are dropped, and the owner repeats an echo that stays away. */
const maxUnderWay = 16;

export class Echoes {
  /** How many queues have not brought back the echo with this mark. */
  private readonly underWay = new Map<number, number>();

  /** `ways` say whether the echo was sent. Where there is no queue, nothing waits before it. */
  send(mark: number, ways: readonly ((mark: number) => boolean)[]): void {
    const sent = ways.filter((send) => send(mark)).length;
    if (sent === 0) return;
    this.underWay.set(mark, sent);
    const [oldest] = this.underWay.keys();
    if (this.underWay.size > maxUnderWay) this.underWay.delete(oldest!);
  }

  /** One queue has brought the echo. Returns whether it is back from all. */
  cameBack(mark: number): boolean {
    const left = this.underWay.get(mark);
    if (left === undefined) return false;
    if (left > 1) return (this.underWay.set(mark, left - 1), false);
    return this.underWay.delete(mark);
  }

  forget(): void {
    this.underWay.clear();
  }
}
