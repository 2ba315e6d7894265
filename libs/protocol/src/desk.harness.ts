/** For specs: the store's machine alone. A test says something as a holder and gets the answers, as text. */
import type { Acquire, HolderMessage, Knock } from './messages.js';
import type { Token } from './order.js';
import { testRules } from './pair.harness.js';
import type { StoreRules } from './partition-desk.js';
import { PartitionMachine } from './partition-machine.js';
import type { SessionRecord } from './record.js';
import type { StoreOutputs } from './store-outputs.js';
import { changes, shown } from './words.harness.js';

/** A machine at a desk: the test says something as a holder and gets the answers, as text. */
export class Desk {
  readonly machine: PartitionMachine;
  time = 0;
  /** Of the last flush. */
  outputs: StoreOutputs = { writes: [], messages: new Map(), open: [], close: [], settled: [] };
  private deliveries = 0;

  constructor(
    rules: Partial<StoreRules> = {},
    private readonly disk: ReadonlyMap<string, SessionRecord> = new Map(),
    epoch = 1,
  ) {
    const all = { ...testRules, ...rules };
    this.machine = new PartitionMachine(0, epoch, all, { since: 0, longestLeaseMs: all.leaseMs });
  }

  /** One frame. Answers look like `a: grant s #1 1.1`. */
  hear(holder: string, ...messages: HolderMessage[]): string[] {
    return this.hearOn(`${holder}.1`, holder, ...messages);
  }

  hearOn(queue: string, holder: string, ...messages: HolderMessage[]): string[] {
    const frame = { version: 1, partition: 0, holder, queue, messages } as const;
    for (const id of this.machine.missing(frame)) this.machine.load(id, this.disk.get(id));
    this.machine.receive(frame, ++this.deliveries, { mono: this.time, wall: 0 });
    return this.flush();
  }

  /** An acquire comes out of its session's own queue; `queue` is where its holder was reached when it was put there. */
  ask(holder: string, message: Acquire, queue = `${holder}.1`): string[] {
    const frame = { version: 1, partition: 0, holder, queue, messages: [message] } as const;
    for (const id of this.machine.missing(frame)) this.machine.load(id, this.disk.get(id));
    this.machine.receiveAsk(frame, ++this.deliveries, { mono: this.time, wall: 0 });
    return this.flush();
  }

  /** The session's own queue is not there. */
  queueGone(session: string): string[] {
    this.machine.queueGone(session, { mono: this.time, wall: 0 });
    return this.flush();
  }

  /** Time passes, and the machine looks at its deadlines. */
  wait(ms: number): string[] {
    this.time += ms;
    this.machine.tick({ mono: this.time, wall: 0 });
    return this.flush();
  }

  get settled(): readonly number[] {
    return this.outputs.settled;
  }

  private flush(): string[] {
    this.outputs = this.machine.flush();
    return [...this.outputs.messages].flatMap(([queue, list]) =>
      list.map((message) => `${queue.replace(/\.1$/, '')}: ${shown(message)}`),
    );
  }
}

// Messages about the session `s`. -------------------------------------------------------------------------------------

export const acquire = (request: number, more: Partial<Acquire> = {}): Acquire => ({
  kind: 'acquire',
  session: 's',
  request,
  mode: 'exclusive',
  create: new Map(),
  waitMs: 1_000,
  ...more,
});
export const knock = (request: number, more: Partial<Knock> = {}): Knock => ({
  kind: 'knock',
  session: 's',
  request,
  waitMs: 1_000,
  ageMs: 0,
  ...more,
});
export const cancel = (request: number) => ({ kind: 'cancel', session: 's', request }) as const;
export const change = <K extends 'commit' | 'release'>(
  kind: K,
  token: Token,
  seq: number,
  set = {},
  removed: string[] = [],
) => ({
  kind,
  session: 's',
  token,
  seq,
  ...changes(set, removed),
});
export const commit = (token: Token, seq: number, set = {}, ...removed: string[]) =>
  change('commit', token, seq, set, removed);
export const release = (token: Token, seq: number, set = {}, ...removed: string[]) =>
  change('release', token, seq, set, removed);
export const emptyRelease = (token: Token) => release(token, 0);
export const renew = (n: number) => ({ kind: 'renew', n }) as const;
