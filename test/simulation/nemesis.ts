/** What goes wrong on a faulty day: processes die, stop and come back, ways are blocked, the disk is slow or fails, the power is lost. */
import { partitionOf } from '#protocol';
import type { Day } from './day.js';
import type { Deployment } from './deployment.js';
import type { Random } from './world.js';

export class Nemesis {
  /** Faults so far. */
  faults = 0;
  private open = 0;
  private restarts = 0;

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
      const fault = this.pick(this.random.pick(holders));
      this.later(this.random.next() * withinMs, () => {
        this.faults++;
        fault();
      });
    }
  }

  private pick(holder: string): () => void {
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
