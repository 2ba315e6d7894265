/**
 * What the app servers do on a simulated day: random scopes that leave marks, whose outcome the checkers
 * learn. App servers die and return as other incarnations.
 */
import { LockedSessionError, type LockedSessions } from '#locked-session';
import type { HeldGrant, HolderMachine } from '#protocol';
import type { Checkers, Mark, Visit } from '../checks/checkers.js';
import type { Deployment } from '../world/deployment.js';
import type { Outcome } from '../checks/marks.js';
import type { Process } from '../world/process.js';
import type { World } from '../world/world.js';

const attributes = ['a', 'b', 'c'];

/** A session's handle, as if every attribute were a list of marks. */
interface Lists {
  get(name: string): readonly string[] | undefined;
  draft(name: string, initial: () => string[]): string[];
  commit(): Promise<void>;
  destroy(): void;
  regenerate(): string;
}

/** An app server as its clients know it, with all its incarnations. */
interface Slot {
  name: string;
  holder: LockedSessions | undefined;
  incarnations: number;
}

/** A scope that is not random: it reads or changes a session, and waits for leases to expire. */
export interface Wish {
  readonly session: string;
  readonly changes: boolean;
}

export class Day {
  open = 0;
  /** Sessions of new visitors, made or not. */
  readonly visitors: string[] = [];
  private readonly slots = new Map<string, Slot>();
  private readonly everybody: LockedSessions[] = [];
  private readonly world: World;
  private readonly checkers: Checkers;

  constructor(
    private readonly deployment: Deployment,
    readonly sessions: readonly string[],
  ) {
    this.world = deployment.world;
    this.checkers = deployment.checkers;
  }

  /** A new incarnation of an app server. */
  async startHolder(slotName: string): Promise<void> {
    const slot = this.slots.get(slotName) ?? { name: slotName, holder: undefined, incarnations: 0 };
    this.slots.set(slotName, slot);
    slot.name = slot.incarnations++ === 0 ? slotName : `${slotName}-${slot.incarnations}`;
    const holder = await this.deployment.holder(slot.name);
    slot.holder = holder;
    this.everybody.push(holder);
  }

  /** The name of the process that is the app server now. */
  processOf(slotName: string): string {
    return this.slots.get(slotName)!.name;
  }

  killHolder(slotName: string): void {
    const slot = this.slots.get(slotName)!;
    slot.holder = undefined;
    this.deployment.kill(slot.name);
    this.checkers.lostUnsent(slot.name);
  }

  /** Closes in order, as far as it can. */
  retireHolder(slotName: string): void {
    const slot = this.slots.get(slotName)!;
    const { holder, name } = slot;
    slot.holder = undefined;
    if (!holder) return;
    this.world.trace(`${name}: leaves`);
    void holder.close().then(() => this.checkers.lostUnsent(name));
  }

  /** What all app servers did and met. */
  totals() {
    const sum = (key: 'grants' | 'recalls') =>
      this.everybody.reduce((total, holder) => total + holder.counters()[key], 0);
    const { count: revocations } = this.checkers.revocations;
    return { grants: sum('grants'), recalls: sum('recalls'), revocations };
  }

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

  /** One random root scope: some attributes, some marks, perhaps nested scopes, a commit, a failure. */
  async scope(slotName: string, i: number, wish?: Wish): Promise<void> {
    const { name, holder } = this.slots.get(slotName)!;
    if (!holder) return; // it is down
    const { random } = this.world;
    const process = this.deployment.process(name);
    const who = `${name}#${i}`;
    // A stopped process reads the request when it continues.
    const isRead = new Promise<boolean>((resolve) => process.run(() => resolve(true)));
    if (!(await Promise.race([isRead, process.killed.then(() => false)]))) return;
    const isNew = !wish && random.chance(0.1);
    const session = wish?.session ?? (isNew ? `new-${who}` : random.pick(this.sessions));
    if (isNew) this.visitors.push(session);
    const whole = wish?.changes ?? random.chance(0.15);
    const some = !whole && !wish && random.chance(0.7) ? random.some(attributes) : [];
    const write = whole ? attributes : some;
    const read = whole ? [] : random.some(attributes).filter((name) => !write.includes(name));
    const fails = random.chance(0.1);
    const nests = random.chance(0.25) && write.length > 0;
    const bodyMs = random.chance(0.3) ? 0 : random.next() * random.pick([5, 100]);
    const aborts = random.chance(0.05) ? new AbortController() : undefined;
    if (aborts) this.world.after(random.next() * 200, () => aborts.abort());

    const marks: Mark[] = [];
    const mark = (handle: Lists, attribute: string) => {
      const id = `${who}.${marks.length + 1}`;
      const made: Mark = { id, session, attribute, holder: name, outcome: 'pending', acknowledgedAt: 0 };
      marks.push(made);
      this.checkers.marks.set(id, made);
      handle.draft(attribute, () => []).push(id);
    };
    const { losses } = this.checkers;
    const before = this.checkers.acknowledged();
    let committed = 0;
    let end: { next: string | undefined } | undefined;
    let failure: unknown;
    let visit: Visit | undefined;
    const patience = wish && { waitMs: 3 * this.deployment.storeSettings.leaseMs };
    const locks = whole ? { ...patience } : { write, read, ...patience };
    try {
      const run = holder.visit(
        session,
        { ...locks, label: who, ...(aborts && { signal: aborts.signal }) },
        { isNew },
        async (its) => {
          const handle = its as unknown as Lists;
          const token = () => (its as unknown as Inner).held.grant.token;
          visit = { who, session, write, read, trusts: trustOf(its, process), token };
          this.checkers.enter(visit);
          this.world.trace(`${who} enters ${session} [${write.join()}|${read.join()}]`);
          try {
            for (const name of [...write, ...read]) {
              this.checkers.sees(who, session, name, handle.get(name) ?? [], before);
            }
            for (const name of write) mark(handle, name);
            await process.sleep(bodyMs);
            if (random.chance(0.1)) {
              const soFar = marks.length;
              await handle.commit();
              for (const one of marks.slice(0, soFar)) this.checkers.settle(one, 'acknowledged');
              committed = soFar;
            }
            if (nests) await this.nested(holder, session, write, mark, (ms) => process.sleep(ms));
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
      run.catch(() => {}); // when the process is killed first
      await Promise.race([run, process.killed.then(() => Promise.reject(new Killed()))]);
      if (visit) this.checkers.endedWell(visit);
    } catch (error) {
      failure = error;
      if (visit) this.checkers.leave(visit);
    }
    let outcome: Outcome | undefined = outcomeOf(failure);
    if (outcome === undefined) throw failure;
    if (outcome === 'acknowledged' && this.deployment.writesBack && !end) outcome = 'made';
    for (const one of marks.slice(committed)) this.checkers.settle(one, outcome);
    if (failure instanceof LockedSessionError && failure.code === 'session-destroyed') {
      this.checkers.turnedAway(who, session);
    }
    if (end && outcome !== 'refused') {
      this.checkers.ended(session, end.next, outcome === 'acknowledged' && losses === this.checkers.losses);
      if (end.next !== undefined) this.visitors.push(end.next);
    }
    this.world.trace(`${who} ends: ${outcome}`);
  }

  /**
   * Two children at once, on the same attribute: their read-modify-writes must not lose each other (race 12).
   */
  private async nested(
    holder: LockedSessions,
    session: string,
    write: readonly string[],
    mark: (handle: Lists, attribute: string) => void,
    sleep: (ms: number) => Promise<void>,
  ): Promise<void> {
    const attribute = this.world.random.pick(write);
    let within = 0;
    await Promise.all(
      [1, 2].map(() =>
        holder.run(session, { write: [attribute] }, async (child) => {
          if (++within > 1)
            this.checkers.violation(`two children are both at '${attribute}' of ${session} (rule 18)`);
          await sleep(this.world.random.next() * 3);
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
/** The process of the scope has died: nobody knows what came of it. */
class Killed extends Error {}

/** Whether the process may use the lock that a scope came in by. */
function trustOf(handle: unknown, process: Process): () => boolean {
  const { held, sessions } = handle as Inner;
  return () => {
    if (process.isDead || held.lost) return false;
    const { grant } = held;
    const isLocal = grant.token[0] === 0;
    return isLocal || sessions.driver.machine.isTrusted(grant, process.clock.now());
  };
}

/** What the checkers look at inside a scope. */
interface Inner {
  readonly held: { readonly lost: unknown; readonly grant: HeldGrant };
  readonly sessions: { readonly driver: { readonly machine: HolderMachine } };
}

/** Undefined for an error that nobody should ever see here. */
function outcomeOf(failure: unknown): 'acknowledged' | 'refused' | 'unknown' | undefined {
  if (failure === undefined) return 'acknowledged';
  if (failure instanceof Deliberate) return 'refused';
  if (failure instanceof Killed) return 'unknown';
  if (!(failure instanceof LockedSessionError)) return undefined;
  switch (failure.code) {
    case 'outcome-unknown':
      return 'unknown';
    case 'lock-lost':
    case 'wait-timeout':
    case 'aborted':
    case 'store-busy':
    case 'session-destroyed':
    case 'shutting-down':
      return 'refused';
    default:
      return undefined;
  }
}
