/**
 * The echoes of a partition's owner (rule 10). What holders say comes through two queues, the partition's and
 * the store's own. So an echo goes through both. It has come back when it is back from both.
 */
export type Way = 'partition' | 'own';

/** Most echoes under way. The oldest ones are dropped, and the owner repeats an echo that stays away. */
const maxUnderWay = 16;

export class Echoes {
  /** The queues that have not brought back the echo with this mark. */
  private readonly underWay = new Map<number, Set<Way>>();

  /** `ways` send the echo, and say whether it was sent. Where there is no queue, nothing waits before it. */
  send(mark: number, ways: Readonly<Record<Way, (mark: number) => boolean>>): void {
    const sent = new Set<Way>();
    if (ways.partition(mark)) sent.add('partition');
    if (ways.own(mark)) sent.add('own');
    if (sent.size === 0) return;
    this.underWay.set(mark, sent);
    const [oldest] = this.underWay.keys();
    if (this.underWay.size > maxUnderWay) this.underWay.delete(oldest!);
  }

  /** One queue has brought the echo. Returns whether it is back from all now. */
  cameBack(mark: number, way: Way): boolean {
    const left = this.underWay.get(mark);
    left?.delete(way);
    return left?.size === 0 && this.underWay.delete(mark);
  }

  forget(): void {
    this.underWay.clear();
  }
}
