/**
 * The nemesis kills, pauses and cuts app servers, stores and the broker, with calm in between, and heals what
 * it has done. A seed decides which fault, when and for how long. It does not decide what the processes do at
 * that moment.
 */
import { setTimeout as pass } from 'node:timers/promises';
import { Random } from '../simulation/world/world.js';
import type { Member, Rabbitmq } from './fleet.js';
import { moment, type Fault } from './history.js';

/**
 * After `kill` and `stop` (SIGTERM) comes a start, after `forMs`. `cut` allows no connection for so long,
 * `stall` delays all bytes.
 */
const ways = ['kill', 'stop', 'pause', 'cut', 'stall'] as const;
type Way = (typeof ways)[number];

export interface Blow {
  readonly way: Way;
  readonly on: 'server' | 'store' | 'broker';
  /** The target's number, modulo their count. */
  readonly which: number;
  readonly forMs: number;
  /** The calm after its end, in milliseconds. Undefined when the next fault comes before its end. */
  readonly calmMs: number | undefined;
}

/** The endless plan of a seed. */
export function* plan(seed: number, longestMs: number): Generator<Blow, never> {
  const random = new Random(seed ^ 0xfa017);
  for (;;) {
    const on = random.pick(['server', 'server', 'server', 'store', 'store', 'broker'] as const);
    const way = on === 'broker' ? 'kill' : random.pick(ways);
    const maxMs = way === 'kill' || way === 'stop' ? 3_000 : longestMs;
    const forMs = Math.round(random.chance(0.3) ? random.next() * 300 : random.next() * maxMs);
    const calmMs = random.chance(0.75) ? Math.round(300 + random.next() * 3_000) : undefined;
    yield { way, on, which: random.int(0, 11), forMs, calmMs };
  }
}

export class Nemesis {
  readonly faults: Fault[] = [];
  private readonly open = new Set<Promise<void>>();
  private brokerRuns = true;

  constructor(
    private readonly broker: Rabbitmq,
    private readonly servers: readonly Member[],
    private readonly stores: readonly Member[],
    private readonly log: (line: string) => void,
  ) {}

  /** Follows the plan until the moment `end`, and resolves when all is healed. */
  async rage(blows: Iterable<Blow>, end: number): Promise<void> {
    for (const blow of blows) {
      if (moment() >= end) break;
      const struck = this.strike(blow);
      this.open.add(struck);
      struck.finally(() => this.open.delete(struck)).catch(() => {});
      if (blow.calmMs === undefined) continue;
      await Promise.all(this.open);
      if (moment() + blow.calmMs < end) await pass(blow.calmMs);
    }
    await Promise.all(this.open);
  }

  private async strike({ way, on, which, forMs }: Blow): Promise<void> {
    if (on === 'broker') return this.strikeBroker(forMs);
    const members = on === 'server' ? this.servers : this.stores;
    const member = [...members.keys()]
      .map((at) => members[(at + which) % members.length]!)
      .find(({ state, isStruck }) => state === 'runs' && !isStruck);
    if (!member) return;
    member.isStruck = true;
    await this.during(
      `${way} ${on}`,
      member.name,
      forMs,
      () => hurt(member, way),
      () => heal(member, way),
    );
    member.isStruck = false;
  }

  private async strikeBroker(forMs: number): Promise<void> {
    const { kill, restart } = this.broker;
    if (!this.brokerRuns || !kill || !restart) return;
    this.brokerRuns = false;
    await this.during('kill broker', 'broker', forMs, kill, restart);
    this.brokerRuns = true;
  }

  private async during(
    kind: string,
    target: string,
    forMs: number,
    hurts: () => Promise<void> | void,
    heals: () => Promise<void> | void,
  ): Promise<void> {
    const fault: Fault = { kind, target, begin: moment(), end: Infinity };
    this.faults.push(fault);
    this.log(`${kind} (${target}) for ${forMs} ms`);
    await hurts();
    await pass(forMs);
    await heals();
    fault.end = moment();
    this.log(`${kind} (${target}) is over`);
  }
}

function hurt(member: Member, way: Way): Promise<void> | void {
  switch (way) {
    case 'kill':
      return member.kill('SIGKILL');
    case 'stop':
      return member.kill('SIGTERM');
    case 'pause':
      return member.pause();
    case 'cut':
      return member.proxy.refuse();
    case 'stall':
      return member.proxy.stall();
  }
}

function heal(member: Member, way: Way): Promise<void> | void {
  switch (way) {
    case 'kill':
    case 'stop':
      return member.start();
    case 'pause':
      return member.resume();
    case 'cut':
      return member.proxy.accept();
    case 'stall':
      return member.proxy.resume();
  }
}
