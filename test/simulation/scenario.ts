/**
 * One simulated deployment and its day: two stores over one repository, some holders, few sessions; random scopes, on a network that delays, drops, duplicates and
 * cuts, and on many days a nemesis. Everything but clocks, network and disk is the real code.
 */
import { partitionOf } from '#protocol';
import { Day } from './day.js';
import { Deployment, type Variant } from './deployment.js';
import { Nemesis } from './nemesis.js';
import { Random } from './world.js';

export interface Report {
  readonly seed: number;
  readonly steps: number;
  readonly digest: number;
  readonly violations: readonly string[];
  readonly grants: number;
  readonly recalls: number;
  readonly revocations: number;
  readonly faults: number;
  readonly acknowledged: number;
  readonly unknown: number;
}

/** How long the longest fault takes, and how long after the last one everything must be as it was, in milliseconds. */
const longestFaultMs = 20_000;

export async function simulate(
  seed: number,
  variant: Variant = {},
  onTrace?: (line: string) => void,
): Promise<Report> {
  const random = new Random(seed ^ 0x5eed);
  const kind = random.pick(['calm', 'lossy', 'lossy', 'faulty', 'faulty', 'expiring'] as const);
  const isCalm = kind === 'calm' || kind === 'expiring';
  const waitMs = random.pick([500, 5_000, 20_000]);
  const leaseMs = random.pick([1_000, 5_000]);
  const recallTimeoutMs = random.pick([2_000, 10_000]);
  const deployment = new Deployment({
    seed,
    variant,
    stores: 2,
    clockDrift: random.pick([0, 0.005]),
    faults: {
      drop: isCalm ? 0 : random.next() * 0.1,
      duplicate: isCalm ? 0 : random.next() * 0.1,
      delayMs: random.pick([1, 5, 40]),
    },
    store: {
      leaseMs,
      recallTimeoutMs,
      unreachableHolder: random.chance(0.3) ? 'revoke' : 'wait-for-lease',
      ...(kind === 'expiring' && { ttlMs: random.pick([2_000, 5_000]), expiryScanMs: 200 }),
    },
    holder: {
      waitMs,
      renewMs: leaseMs / 3,
      holdPolicy: random.pick(['until-recalled', 'until-idle']),
      drainBudgetMs: Math.min(recallTimeoutMs / 2, random.pick([1, 50, 500])),
      commitWaitMs: random.pick([2_000, 20_000]),
      heldSessions: random.pick([2, 100]),
      writeBackMs: random.chance(0.2) ? 1_000 : 0,
      queues: random.pick(['partitioned', 'per-session']),
    },
  });
  const { world, network, checkers } = deployment;
  world.onTrace = onTrace;
  await deployment.start();
  const names = Array.from({ length: random.int(2, 4) }, (_, i) => `h${i}`);
  const sessions = Array.from({ length: random.int(1, 3) }, (_, i) => `s${i}`);
  const day = new Day(deployment, sessions);
  for (const name of names) await day.startHolder(name);

  const longMs = { calm: 2_000, lossy: 2_000, faulty: 8_000, expiring: 15_000 }[kind];
  for (let i = 0; i < random.int(10, 40); i++) {
    const slot = random.pick(names);
    day.plan(random.next() * random.pick([20, longMs]), () => day.scope(slot, i));
  }
  const nemesis = new Nemesis(deployment, day, random);
  if (kind === 'faulty') nemesis.plan(names, random.int(1, 4), 3_000);
  if (kind === 'lossy' && random.chance(0.4)) {
    for (let i = 0; i < random.int(1, 3); i++) {
      const partition = partitionOf(random.pick(sessions), deployment.partitions);
      const cut = random.pick(names);
      const breaks = random.chance(0.5)
        ? () => network.breakPartition(partition)
        : () => network.breakHolder(cut);
      world.after(random.next() * 2_000, breaks);
    }
  }
  await world.run(() => day.over && nemesis.over, 5_000 + longMs + (nemesis.faults > 0 ? longestFaultMs : 0));
  network.faulty = false;
  await world.run(() => nemesis.over, longestFaultMs);
  // Waits end by their deadlines, commits by theirs; nothing may take longer than the sum.
  await world.run(() => day.over, 60_000);
  if (!day.over) checkers.violation(`${day.open} scopes never ended`);

  // Whatever has happened: who asks now has every session as soon as the dead have had their lease, and the slow their time.
  const recoveryMs = 2 * (leaseMs + recallTimeoutMs) + 2_000;
  const auditor = await deployment.holder('auditor');
  const audits = Promise.all(
    [...sessions, ...day.visitors].map((session) => day.audit(auditor, session, recoveryMs)),
  );
  await deployment
    .until(audits)
    .catch((error: unknown) => checkers.violation(`the audit fails: ${String(error)}`));
  await deployment.rest();
  checkers.settleEnds();

  const outcomes = [...checkers.marks.values()].map(({ outcome }) => outcome);
  return {
    seed,
    steps: world.steps,
    digest: world.digest >>> 0,
    violations: checkers.violations,
    ...day.totals(),
    faults: nemesis.faults,
    acknowledged: outcomes.filter((outcome) => outcome === 'acknowledged' || outcome === 'made').length,
    unknown: outcomes.filter((outcome) => outcome === 'unknown').length,
  };
}
