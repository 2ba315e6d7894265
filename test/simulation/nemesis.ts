/** What goes wrong on a faulty day: processes die, stop and come back, ways are blocked, the disk is slow or fails, the power is lost, an operator deletes a queue. */
import { partitionOf } from '#protocol';
import type { Day } from './day.js';
import type { Deployment } from './deployment.js';
import type { Random } from './world.js';

/** Visits that belong to a fault are numbered from here, to be told from the others. */
const firstVisit = 100;

export class Nemesis {
  /** Faults so far. */
  faults = 0;
  private open = 0;
  private restarts = 0;
  private visits = 0;

  constructor(
    private readonly deployment: Deployment,
    private readonly day: Day,
    private readonly random: Random,
  ) {}

  /** Everything that was planned has happened, and everybody who died is back. */
  get over(): boolean {
    return this.open === 0;
  }

  plan(holders: readonly string[], count: number, withinMs: number): void {
    for (let i = 0; i < count; i++) {
      const holder = this.random.pick(holders);
      const other = this.random.pick(holders.filter((one) => one !== holder));
      const fault = this.pick(holder, other);
      this.later(this.random.next() * withinMs, () => {
        this.faults++;
        fault();
      });
    }
  }

  private pick(holder: string, other: string): () => void {
    const { deployment, day, random } = this;
    const { network, disk } = deployment;
    const long = () => random.pick([0.3, 1, 3]) * deployment.storeSettings.leaseMs * (0.5 + random.next());
    const kinds: (() => () => void)[] = [
      () => {
        const backMs = long();
        return () => {
          day.killHolder(holder);
          this.later(backMs, () => void day.startHolder(holder));
        };
      },
      () => {
        const [ms, suspended] = [long(), random.chance(0.5)];
        return () => deployment.stop(day.processOf(holder), ms, suspended);
      },
      () => {
        const backMs = long();
        return () => {
          day.retireHolder(holder);
          this.later(backMs, () => void day.startHolder(holder));
        };
      },
      () => {
        const [ms, way] = [long(), random.pick(['in', 'out', 'both'] as const)];
        return () => network.stallHolder(day.processOf(holder), ms, way);
      },
      () => {
        const session = random.pick(day.sessions);
        const isolation = random.pick(['stopped', 'suspended', 'stalled'] as const);
        const ms = deployment.storeSettings.leaseMs * (1.2 + random.next());
        const settleMs = 20 + random.next() * 200;
        return () => this.isolateHolder(holder, other, session, { isolation, ms, settleMs });
      },
      () => {
        const session = random.pick(day.sessions);
        return () => network.sessions.delete(session);
      },
      () => () => network.breakHolder(day.processOf(holder)),
      () => {
        const backMs = long();
        return () => this.killStore(backMs);
      },
      () => {
        const [ms, suspended] = [long(), random.chance(0.5)];
        return () => {
          const [store] = deployment.storeNames;
          if (store !== undefined) deployment.stop(store, ms, suspended);
        };
      },
      () => {
        const ms = long();
        return () => {
          // What it has begun to write is written when it goes on: long after another one owns its partitions.
          disk.slownessMs = 200;
          this.later(100, () => {
            disk.slownessMs = 4;
            const [store] = deployment.storeNames;
            if (store !== undefined) deployment.stop(store, 3_500 + ms, random.chance(0.5));
          });
        };
      },
      () => {
        const partition = partitionOf(`s${random.int(0, 2)}`, deployment.partitions);
        return () => network.breakPartition(partition);
      },
      () => {
        const downMs = random.next() * 3_000;
        return () => network.restart(downMs);
      },
      () => {
        const [ms, slownessMs] = [random.next() * 2_000, random.pick([50, 500])];
        return () => {
          disk.slownessMs = slownessMs;
          this.later(ms, () => (disk.slownessMs = 4));
        };
      },
      () => {
        const count = random.int(1, 3);
        return () => (disk.failing += count);
      },
      () => {
        const backMs = random.next() * 2_000;
        return () => {
          for (let stores = deployment.storeNames.length; stores > 0; stores--) this.killStore(backMs);
          void disk.losePower();
        };
      },
    ];
    return random.pick(kinds)();
  }

  /**
   * An app server that holds a session is cut off for longer than its lease while another one changes the session, and is asked for it before it can have heard: it must not
   * answer from its copy (rules 8 and 9).
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
      // What comes to a stopped process is read first when it goes on.
      visit(holder, false, isolation === 'stalled' ? 0.95 * ms : 0);
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
