/** The frames of a turn on their way to their partitions, through a transport that takes its time. */
import { describe, expect, it } from 'vitest';
import type { Delivery } from '#broker';
import { protocolVersion, type HolderFrame, type HolderPart } from '#protocol';
import { Handover, type Dispatch, type Receiver } from './handover.js';

const frame = (holder: string): HolderFrame => ({
  version: protocolVersion,
  holder,
  queue: '',
  parts: [{ partition: 0, holder, queue: '', epoch: 0, messages: [] }],
});
const delivery = {} as Delivery;
const turnOfTheLoop = () => new Promise((resolve) => setImmediate(resolve));

/** A partition that notes what it gets. */
class Partition implements Receiver {
  ownership = 1;
  constructor(
    private readonly name: string,
    private readonly notes: string[],
  ) {}
  receive({ holder }: HolderPart, _delivery: Delivery, ownership: number): void {
    this.notes.push(`${this.name}: ${holder} in ${ownership}`);
  }
  echoed(mark: number, ownership: number): void {
    this.notes.push(`${this.name}: echo ${mark} in ${ownership}`);
  }
}

/** Two partitions behind a transport. */
function behind(dispatch: Dispatch) {
  const notes: string[] = [];
  const [p, q] = [new Partition('p', notes), new Partition('q', notes)];
  return { handover: new Handover(dispatch), p, q, notes };
}

describe('the frames of a turn', () => {
  it('are one call of the transport, in the order of their arrival over all partitions', async () => {
    const calls: number[] = [];
    const { handover, p, q, notes } = behind((frames, accept) => {
      calls.push(frames.length);
      accept(frames);
    });
    handover.frame(p, frame('a'), delivery);
    handover.frame(q, frame('b'), delivery);
    handover.frame(p, frame('c'), delivery);
    await turnOfTheLoop();
    handover.frame(q, frame('d'), delivery);
    await turnOfTheLoop();
    expect(calls).toEqual([3, 1]);
    expect(notes).toEqual(['p: a in 1', 'q: b in 1', 'p: c in 1', 'q: d in 1']);
  });

  it('count in the ownership that they were delivered in, however late the transport hands them over', async () => {
    const late: (() => void)[] = [];
    const { handover, p, notes } = behind((frames, accept) => late.push(() => accept(frames)));
    handover.frame(p, frame('a'), delivery);
    await turnOfTheLoop();
    p.ownership = 2;
    late[0]!();
    expect(notes).toEqual(['p: a in 1']);
  });

  it('do not count when the handler leaves them out', async () => {
    const { handover, p, notes } = behind((frames, accept) => accept(frames.slice(1)));
    for (const name of ['a', 'b']) handover.frame(p, frame(name), delivery);
    await turnOfTheLoop();
    expect(notes).toEqual(['p: b in 1']);
  });

  it('rule 10: are read before an echo that came after them, however late the transport hands them over', async () => {
    const late: (() => void)[] = [];
    const { handover, p, notes } = behind((frames, accept) => late.push(() => accept(frames)));
    handover.frame(p, frame('renews'), delivery);
    handover.echo(p, 7, 'own');
    await turnOfTheLoop();
    handover.echo(p, 8, 'own');
    await turnOfTheLoop();
    expect(notes).toEqual([]);
    for (const accept of late) accept();
    expect(notes).toEqual(['p: renews in 1', 'p: echo 7 in 1', 'p: echo 8 in 1']);
  });
});
