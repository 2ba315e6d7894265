/**
 * One simulated deployment and its day: two stores over one repository, some holders, few sessions; random scopes, on a network that delays,
 * drops, duplicates and cuts. Everything but clock, network and repository is the real code.
 */
import { LockedSessionError, type LockedSessions } from '#locked-session';
import { partitionOf } from '#protocol';
import type { Checkers, Visit } from './checkers.js';
import { Deployment, type Variant } from './deployment.js';
import type { Mark, Outcome } from './marks.js';
import { Random, type World } from './world.js';

export interface Report {
  readonly seed: number;
  readonly steps: number;
  readonly digest: number;
  readonly violations: readonly string[];
  readonly grants: number;
  readonly recalls: number;
  readonly acknowledged: number;
  readonly unknown: number;
}

const attributes = ['a', 'b', 'c'];

export async function simulate(
  seed: number,
  variant: Variant = {},
  onTrace?: (line: string) => void,
): Promise<Report> {
  const random = new Random(seed ^ 0x5eed);
  const calm = random.chance(0.2);
  const waitMs = random.pick([500, 5_000, 20_000]);
  const deployment = new Deployment({
    seed,
    variant,
    stores: 2,
    faults: {
      drop: calm ? 0 : random.next() * 0.1,
      duplicate: calm ? 0 : random.next() * 0.1,
      delayMs: random.pick([1, 5, 40]),
    },
    holder: {
      waitMs,
      holdPolicy: random.pick(['until-recalled', 'until-idle']),
      drainBudgetMs: random.pick([1, 50, 500]),
      commitWaitMs: random.pick([2_000, 20_000]),
      heldSessions: random.pick([2, 100]),
    },
  });
  const { world, network, checkers } = deployment;
  world.onTrace = onTrace;
  await deployment.start();
  const names = Array.from({ length: random.int(2, 4) }, (_, i) => `h${i}`);
  const holders = await Promise.all(names.map((name) => deployment.holder(name)));
  const sessions = Array.from({ length: random.int(1, 3) }, (_, i) => `s${i}`);

  const day = new Day(world, checkers, sessions);
  for (let i = 0; i < random.int(10, 40); i++) {
    const which = random.int(0, holders.length - 1);
    const at = random.next() * random.pick([20, 2_000]);
    day.plan(at, () => day.scope(holders[which]!, `${names[which]}#${i}`));
  }
  if (!calm && random.chance(0.3)) {
    for (let i = 0; i < random.int(1, 3); i++) {
      const partition = partitionOf(random.pick(sessions), deployment.partitions);
      const cut = random.pick(names);
      const breaks = random.chance(0.5)
        ? () => network.breakPartition(partition)
        : () => network.breakHolder(cut);
      world.after(random.next() * 2_000, breaks);
    }
  }
  await world.run(() => day.over, 5_000);
  network.faulty = false;
  // Waits end by their deadlines, commits by theirs; nothing may take longer than the sum.
  await world.run(() => day.over, 60_000);
  if (!day.over) checkers.violation(`${day.open} scopes never ended`);

  const auditor = await deployment.holder('auditor');
  const audits = Promise.all(
    [...sessions, ...day.visitors].map((session) => day.audit(auditor, session, waitMs + 30_000)),
  );
  await deployment
    .until(audits)
    .catch((error: unknown) => checkers.violation(`the audit fails: ${String(error)}`));
  await deployment.rest();
  checkers.settleEnds();

  const total = (key: 'grants' | 'recalls') => holders.reduce((sum, one) => sum + one.counters()[key], 0);
  const outcomes = [...checkers.marks.values()].map(({ outcome }) => outcome);
  return {
    seed,
    steps: world.steps,
    digest: world.digest >>> 0,
    violations: checkers.violations,
    grants: total('grants'),
    recalls: total('recalls'),
    acknowledged: outcomes.filter((outcome) => outcome === 'acknowledged').length,
    unknown: outcomes.filter((outcome) => outcome === 'unknown').length,
  };
}

/** A session's handle, where every attribute is a list of marks. */
interface Lists {
  get(name: string): readonly string[] | undefined;
  draft(name: string, initial: () => string[]): string[];
  commit(): Promise<void>;
  destroy(): void;
  regenerate(): string;
}

/** What the holders do. */
class Day {
  open = 0;
  /** Sessions of new visitors, made or not. */
  readonly visitors: string[] = [];

  constructor(
    private readonly world: World,
    private readonly checkers: Checkers,
    private readonly sessions: readonly string[],
  ) {}

  get over(): boolean {
    return this.open === 0;
  }

  plan(atMs: number, task: () => Promise<void>): void {
    this.open++;
    this.world.after(atMs, () => {
      task().then(
        () => this.open--,
        (error: unknown) =>
          this.checkers.violation(`a scope failed unexpectedly: ${String((error as Error).stack)}`),
      );
    });
  }

  /** One random root scope: some attributes, some marks, perhaps nested scopes, a commit on the way, a failure. */
  async scope(holder: LockedSessions, who: string): Promise<void> {
    const { random } = this.world;
    const isNew = random.chance(0.1);
    const session = isNew ? `new-${who}` : random.pick(this.sessions);
    if (isNew) this.visitors.push(session);
    const whole = random.chance(0.15);
    const write = whole ? attributes : random.chance(0.7) ? random.some(attributes) : [];
    const read = whole ? [] : random.some(attributes).filter((name) => !write.includes(name));
    const fails = random.chance(0.1);
    const nests = random.chance(0.25) && write.length > 0;
    const bodyMs = random.chance(0.3) ? 0 : random.next() * random.pick([5, 100]);
    const aborts = random.chance(0.05) ? new AbortController() : undefined;
    if (aborts) this.world.after(random.next() * 200, () => aborts.abort());

    const marks: Mark[] = [];
    const mark = (handle: Lists, attribute: string) => {
      const id = `${who}.${marks.length + 1}`;
      const made: Mark = { id, session, attribute, outcome: 'pending' };
      marks.push(made);
      this.checkers.marks.set(id, made);
      handle.draft(attribute, () => []).push(id);
    };
    const before = this.checkers.acknowledged();
    let committed = 0;
    let end: { next: string | undefined } | undefined;
    let failure: unknown;
    try {
      const locks = whole ? { isNew } : { isNew, write, read };
      await holder.run(
        session,
        { ...locks, label: who, ...(aborts && { signal: aborts.signal }) },
        async (its) => {
          const handle = its as unknown as Lists;
          const visit: Visit = { who, session, write, read };
          this.checkers.enter(visit);
          this.world.trace(`${who} enters ${session} [${write.join()}|${read.join()}]`);
          try {
            for (const name of [...write, ...read]) {
              this.checkers.sees(who, session, name, handle.get(name) ?? [], before);
            }
            for (const name of write) mark(handle, name);
            await this.world.sleep(bodyMs);
            if (random.chance(0.1)) {
              const soFar = marks.length;
              await handle.commit();
              for (const one of marks.slice(0, soFar)) one.outcome = 'acknowledged';
              committed = soFar;
            }
            if (nests) await this.nested(holder, session, write, mark);
            if (fails) throw new Deliberate();
            if (whole && random.chance(0.1)) {
              end = { next: random.chance(0.5) ? handle.regenerate() : undefined };
              if (end.next === undefined) handle.destroy();
            }
          } finally {
            this.checkers.leave(visit);
            this.world.trace(`${who} leaves ${session}`);
          }
        },
      );
    } catch (error) {
      failure = error;
    }
    const outcome = outcomeOf(failure);
    if (outcome === undefined) throw failure;
    for (const one of marks.slice(committed)) one.outcome = outcome;
    if (failure instanceof LockedSessionError && failure.code === 'session-destroyed') {
      this.checkers.turnedAway(who, session);
    }
    if (end && outcome !== 'refused') {
      this.checkers.ended(session, end.next, outcome === 'acknowledged');
      if (end.next !== undefined) this.visitors.push(end.next);
    }
    this.world.trace(`${who} ends: ${outcome}`);
  }

  /** Two children at once, on the same attribute: their read-modify-writes must not lose each other (race 12). */
  private async nested(
    holder: LockedSessions,
    session: string,
    write: readonly string[],
    mark: (handle: Lists, attribute: string) => void,
  ): Promise<void> {
    const attribute = this.world.random.pick(write);
    let within = 0;
    await Promise.all(
      [1, 2].map(() =>
        holder.run(session, { write: [attribute] }, async (child) => {
          if (++within > 1)
            this.checkers.violation(`two children are both at '${attribute}' of ${session} (rule 18)`);
          await this.world.sleep(this.world.random.next() * 3);
          mark(child as unknown as Lists, attribute);
          within--;
        }),
      ),
    );
  }

  /** At the end: everything acknowledged is there exactly once. */
  async audit(auditor: LockedSessions, session: string, waitMs: number): Promise<void> {
    const expected = this.checkers.acknowledged();
    const audited = auditor.run(session, { read: '*', waitMs, label: 'auditor' }, (its) => {
      const handle = its as unknown as Lists;
      for (const name of attributes) {
        this.checkers.sees('auditor', session, name, handle.get(name) ?? [], expected);
      }
    });
    await audited.catch((error: unknown) => {
      if (outcomeOf(error) !== 'refused' || (error as LockedSessionError).code !== 'session-destroyed')
        throw error;
      this.checkers.turnedAway('auditor', session);
    });
  }
}

class Deliberate extends Error {}

/** Undefined for an error that nobody should ever see here. */
function outcomeOf(failure: unknown): Outcome | undefined {
  if (failure === undefined) return 'acknowledged';
  if (failure instanceof Deliberate) return 'refused';
  if (!(failure instanceof LockedSessionError)) return undefined;
  switch (failure.code) {
    case 'outcome-unknown':
    case 'lock-lost':
      return 'unknown';
    case 'wait-timeout':
    case 'aborted':
    case 'store-busy':
    case 'session-destroyed':
      return 'refused';
    default:
      return undefined;
  }
}
