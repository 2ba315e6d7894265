/** For specs: the store's machine alone. A test plays a holder, and gets the answers as text. */
import type { Acquire, HolderMessage, Knock } from '../wire/messages.js';
import type { Now, Token } from '../wire/order.js';
import { testParameters } from './pair.js';
import type { StoreParameters } from '../store/parameters.js';
import { PartitionMachine } from '../store/partition-machine.js';
import type { SessionRecord } from '../store/record.js';
import type { StoreOutputs } from '../store/outputs.js';
import { changes, asText } from './message-text.js';

/** The machine, with a disk and a clock that the test sets. */
export class StoreAlone {
  readonly machine: PartitionMachine;
  time = 0;
  /** Of the last flush. */
  outputs: StoreOutputs = { writes: [], messages: new Map(), open: [], close: [], settled: [] };
  private deliveries = 0;
  /** How long the write of a flush takes. */
  writeMs = 0;
  /** Echoes come back only when the test calls `echo`. */
  holdsEchoes = false;
  readonly echoes: number[] = [];

  constructor(
    parameters: Partial<StoreParameters> = {},
    private readonly disk: ReadonlyMap<string, SessionRecord> = new Map(),
    epoch = 1,
  ) {
    const all = { ...testParameters, ...parameters };
    this.machine = new PartitionMachine(0, epoch, all, { since: 0, longestLeaseMs: all.leaseMs });
  }

  /** Receives one frame. Answers look like `a: grant s #1 1.1`. */
  hear(holder: string, ...messages: HolderMessage[]): string[] {
    return this.hearOn(`${holder}.1`, holder, ...messages);
  }

  hearOn(queue: string, holder: string, ...messages: HolderMessage[]): string[] {
    const frame = { version: 2, partition: 0, holder, queue, epoch: 0, messages } as const;
    for (const id of this.machine.missing(frame)) this.machine.load(id, this.disk.get(id));
    this.machine.receive(frame, ++this.deliveries, this.now);
    return this.flush();
  }

  /**
   * An acquire comes out of its session's own queue. `queue` is the one for its answers when it was put
   * there.
   */
  hearQueued(holder: string, message: Acquire, queue = `${holder}.1`): string[] {
    const frame = { version: 2, partition: 0, holder, queue, epoch: 0, messages: [message] } as const;
    for (const id of this.machine.missing(frame)) this.machine.load(id, this.disk.get(id));
    this.machine.receiveQueued(frame, ++this.deliveries, this.now);
    return this.flush();
  }

  /** The session's own queue does not exist. */
  queueGone(session: string): string[] {
    this.machine.queueGone(session, this.now);
    return this.flush();
  }

  /** Lets time pass. The machine looks at its deadlines. */
  wait(ms: number): string[] {
    this.time += ms;
    this.machine.tick(this.now);
    return this.flush();
  }

  /** The wall clock goes with the other one. */
  private get now(): Now {
    return { mono: this.time, wall: this.time };
  }

  get settled(): readonly number[] {
    return this.outputs.settled;
  }

  private flush(): string[] {
    this.outputs = this.machine.flush();
    this.time += this.writeMs;
    this.machine.sent(this.now);
    const told = [...this.outputs.messages].flatMap(([queue, list]) =>
      list.map((message) => `${queue.replace(/\.1$/, '')}: ${asText(message)}`),
    );
    const { echo } = this.outputs;
    if (echo === undefined) return told;
    this.echoes.push(echo);
    return this.holdsEchoes ? told : [...told, ...this.echo()];
  }

  /** The pending echoes come back, and the machine acts on them. */
  echo(): string[] {
    const [at] = this.echoes;
    for (const echo of this.echoes.splice(0)) this.machine.echoed(echo, this.now);
    if (at === undefined) return [];
    const { writes } = this.outputs;
    const told = this.wait(0);
    this.outputs = { ...this.outputs, writes: [...writes, ...this.outputs.writes] };
    return told;
  }
}

// Messages about the session `s`. ---------------------------------------------------------------------------

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
const change = <K extends 'commit' | 'release'>(
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
