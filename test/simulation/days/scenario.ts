/**
 * One simulated deployment and its day: two stores over one repository, some holders and few sessions. Random
 * scopes run on a network that delays, drops, duplicates and cuts, and on many days with a nemesis.
 * Everything but clocks, network and disk is the real code.
 */
import { partitionOf } from '#protocol';
import { Day } from './day.js';
import { Deployment, type Variant } from '../world/deployment.js';
import { Nemesis } from './nemesis.js';
import { Random } from '../world/world.js';

export interface Report {
  readonly seed: number;
  readonly steps: number;
  readonly digest: number;
  readonly violations: readonly string[];
  /** What `locked-session verify` finds in the traces. */
  readonly traced: readonly string[];
  readonly grants: number;
  readonly recalls: number;
  readonly revocations: number;
  readonly faults: number;
  readonly faultKinds: readonly string[];
  readonly acknowledged: number;
  readonly unknown: number;
}

/** The longest fault, and the time after the last one until all must work again, in milliseconds. */
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
      turnMs: random.pick([0, 10, 100]),
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
  await world.run(
    () => day.over && nemesis.over,
    5_000 + longMs + (nemesis.kinds.length > 0 ? longestFaultMs : 0),
  );
  network.faulty = false;
  await world.run(() => nemesis.over, longestFaultMs);
  // Waits and commits end by their deadlines. Nothing may take longer than their sum.
  await world.run(() => day.over, 60_000);
  if (!day.over) checkers.violation(`${day.open} scopes never ended`);

  // Each session must be granted now within the leases of dead holders and the recall time-outs of slow ones.
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
    traced: tracedFindings(deployment),
    ...day.totals(),
    faults: nemesis.kinds.length,
    faultKinds: nemesis.kinds,
    acknowledged: outcomes.filter((outcome) => outcome === 'acknowledged' || outcome === 'made').length,
    unknown: outcomes.filter((outcome) => outcome === 'unknown').length,
  };
}

/** None where something is not promised: after a loss of power that took something, and with `revoke`. */
function tracedFindings({ disk, storeSettings, traces }: Deployment): string[] {
  if (disk.hasLost || storeSettings.unreachableHolder === 'revoke') return [];
  return traces.verify().findings.map(({ kind, what }) => `the traces tell: ${kind}: ${what}`);
}
