/**
 * The faults of a simulated day: processes die, stop and return, links stall, the disk is slow or fails, the
 * power fails, queues are deleted.
 */
import { partitionOf } from '#protocol';
import type { Day } from './day.js';
import type { Deployment } from '../world/deployment.js';
import type { Random } from '../world/world.js';

/** Visits that belong to a fault are numbered from here on. */
const firstVisit = 100;

export class Nemesis {
  /** The kinds of the faults so far. */
  readonly kinds: string[] = [];
  private open = 0;
  private restarts = 0;
  private visits = 0;

  constructor(
    private readonly deployment: Deployment,
    private readonly day: Day,
    private readonly random: Random,
  ) {}

  /** All planned faults have happened, and all dead processes are back. */
  get over(): boolean {
    return this.open === 0;
  }

  plan(holders: readonly string[], count: number, withinMs: number): void {
    for (let i = 0; i < count; i++) {
      const holder = this.random.pick(holders);
      const other = this.random.pick(holders.filter((one) => one !== holder));
      const { kind, fault } = this.pick(holder, other);
      this.later(this.random.next() * withinMs, () => {
        this.kinds.push(kind);
        fault();
      });
    }
  }

  private pick(holder: string, other: string): { kind: string; fault: () => void } {
    const { deployment, day, random } = this;
    const { network, disk } = deployment;
    const long = () => random.pick([0.3, 1, 3]) * deployment.storeSettings.leaseMs * (0.5 + random.next());
    const kinds: Readonly<Record<string, () => () => void>> = {
      'app server killed': () => {
        const backMs = long();
        return () => {
          day.killHolder(holder);
          this.later(backMs, () => void day.startHolder(holder));
        };
      },
      'app server stopped': () => {
        const [ms, suspended] = [long(), random.chance(0.5)];
        return () => deployment.stop(day.processOf(holder), ms, suspended);
      },
      'app server leaves': () => {
        const backMs = long();
        return () => {
          day.retireHolder(holder);
          this.later(backMs, () => void day.startHolder(holder));
        };
      },
      'app server stalled': () => {
        const [ms, way] = [long(), random.pick(['in', 'out', 'both'] as const)];
        return () => network.stallHolder(day.processOf(holder), ms, way);
      },
      'app server isolated': () => {
        const session = random.pick(day.sessions);
        const isolation = random.pick(['stopped', 'suspended', 'stalled'] as const);
        const ms = deployment.storeSettings.leaseMs * (1.2 + random.next());
        const settleMs = 20 + random.next() * 200;
        return () => this.isolateHolder(holder, other, session, { isolation, ms, settleMs });
      },
      'stores stopped in a recall': () => {
        const session = random.pick(day.sessions);
        const times = { settleMs: 20 + random.next() * 200, askMs: 2 + random.next() * 50 };
        // Not for so long that the broker takes the partition away.
        const ms = 2_050 + random.next() * 850;
        return () => this.stopStores(holder, other, session, { ...times, ms });
      },
      'session queue deleted': () => {
        const session = random.pick(day.sessions);
        return () => network.sessions.delete(session);
      },
      'app server disconnected': () => () => network.breakHolder(day.processOf(holder)),
      'store killed': () => {
        const backMs = long();
        return () => this.killStore(backMs);
      },
      'store stopped': () => {
        const [ms, suspended] = [long(), random.chance(0.5)];
        return () => {
          const [store] = deployment.storeNames;
          if (store !== undefined) deployment.stop(store, ms, suspended);
        };
      },
      'store stopped in a write': () => {
        const ms = long();
        return () => {
          // It finishes its write when it continues: long after another store owns its partitions.
          disk.slownessMs = 200;
          this.later(100, () => {
            disk.slownessMs = 4;
            const [store] = deployment.storeNames;
            if (store !== undefined) deployment.stop(store, 3_500 + ms, random.chance(0.5));
          });
        };
      },
      'partition disconnected': () => {
        const partition = partitionOf(`s${random.int(0, 2)}`, deployment.partitions);
        return () => network.breakPartition(partition);
      },
      'own queue lost': () => () => {
        const [store] = deployment.storeNames;
        if (store !== undefined) network.breakStore(store);
      },
      'broker restarted': () => {
        const downMs = random.next() * 3_000;
        return () => network.restart(downMs);
      },
      'disk slow': () => {
        const [ms, slownessMs] = [random.next() * 2_000, random.pick([50, 500])];
        return () => {
          disk.slownessMs = slownessMs;
          this.later(ms, () => (disk.slownessMs = 4));
        };
      },
      'disk fails': () => {
        const count = random.int(1, 3);
        return () => (disk.failing += count);
      },
      'power lost': () => {
        const backMs = random.next() * 2_000;
        return () => {
          for (let stores = deployment.storeNames.length; stores > 0; stores--) this.killStore(backMs);
          void disk.losePower();
        };
      },
    };
    const kind = random.pick(Object.keys(kinds));
    return { kind, fault: kinds[kind]!() };
  }

  /**
   * Rules 8 and 9: a holder is cut off for longer than its lease while another one changes the session. Then
   * it is asked for the session before it can have learned of that. It must not answer from its copy.
   */
  private isolateHolder(
    holder: string,
    other: string,
    session: string,
    {
      isolation,
      ms,
      settleMs,
    }: { isolation: 'stopped' | 'suspended' | 'stalled'; ms: number; settleMs: number },
  ): void {
    const { deployment, day } = this;
    const visit = (who: string, changes: boolean, inMs = 0) =>
      day.plan(inMs, () => day.scope(who, firstVisit + ++this.visits, { session, changes }));
    visit(holder, true);
    this.later(settleMs, () => {
      const process = day.processOf(holder);
      if (isolation === 'stalled') deployment.network.stallHolder(process, ms, 'both');
      else deployment.stop(process, ms, isolation === 'suspended');
      visit(other, true);
      // A stopped process reads first what arrived meanwhile.
      visit(holder, false, isolation === 'stalled' ? 0.95 * ms : 0);
    });
  }

  /**
   * Rule 10: the stores stand still while one app server asks for a session that another one holds. The
   * holder's answer waits in the queue.
   */
  private stopStores(
    holder: string,
    other: string,
    session: string,
    { settleMs, askMs, ms }: { settleMs: number; askMs: number; ms: number },
  ): void {
    const { deployment, day } = this;
    const visit = (who: string) =>
      day.plan(0, () => day.scope(who, firstVisit + ++this.visits, { session, changes: true }));
    visit(holder);
    this.later(settleMs, () => {
      visit(holder); // it does not release at once, then
      visit(other);
    });
    this.later(settleMs + askMs, () => {
      for (const store of deployment.storeNames) deployment.stop(store, ms);
    });
  }

  private killStore(backMs: number): void {
    const { deployment } = this;
    const [store] = deployment.storeNames;
    if (store === undefined) return;
    deployment.kill(store);
    this.later(backMs, () => void deployment.startStore(`store${++this.restarts + 2}`));
  }

  private later(ms: number, task: () => void): void {
    this.open++;
    this.deployment.world.after(ms, () => {
      task();
      this.open--;
    });
  }
}
