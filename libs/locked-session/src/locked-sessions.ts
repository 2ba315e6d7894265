/**
 * The sessions of this process, and the way to one: `run(id, what to lock, body)`. It brings gate, locks, scope and driver together; Nest's part
 * (module, decorators, interceptor) is a thin layer above.
 */
import { isSessionId, noChanges, type HolderEvent, type HolderMachine, type Token } from '#protocol';
import { lockPlan, type LockPlan, type LockSpec } from './lock-plan.js';
import { LockedSessionError } from './errors.js';
import { aborted, shuttingDown, wrongPartitions } from './gate-errors.js';
import { HolderDriver, type HolderPorts, type HolderSettings } from './holder.driver.js';
import { currentScope, requireScope, Scope } from './scope.js';
import { SessionGate, type GateKeeper, type GateSettings, type WaitOptions } from './session-gate.js';
import type { SessionHandle } from './session-handle.js';

export interface SessionsPorts extends HolderPorts {
  /** Makes a session's id that nobody can guess. */
  readonly newId: () => string;
}

export interface SessionsSettings extends HolderSettings, GateSettings {
  /** How long a scope waits for its locks, in milliseconds, unless it says otherwise. */
  readonly waitMs: number;
  /** The longest wait for another session inside a scope, unless its id is greater (rule 19), in milliseconds. */
  readonly nestedWaitMs: number;
  /** How long a result waits for the store's acknowledgement, in milliseconds. */
  readonly commitWaitMs: number;
  /** Most sessions held at once; beyond it the least recently used are released (rule 3). */
  readonly heldSessions: number;
  /** A session that no scope used for this long is released, at twice this at the latest, in milliseconds (rule 3). */
  readonly idleReleaseMs: number;
  /** How long a shutdown waits for running scopes, and then for the answers of its releases, in milliseconds. */
  readonly closeMs: number;
}

export interface RunOptions extends LockSpec {
  /** How long to wait for the locks, in milliseconds. */
  readonly waitMs?: number;
  /** Ends the wait when it is aborted. */
  readonly signal?: AbortSignal;
  /** Names the scope in messages, for example `POST /cart`. */
  readonly label?: string;
  /** The id was just made, so that nobody else knows it: the session lives in this process alone until something is set (rule 16). */
  readonly isNew?: boolean;
  /** Nothing may be set: the session that the client named was destroyed. */
  readonly unkept?: boolean;
  /** Make the session when the store does not know it. Default true; false for ids that come from outside (rule 14). */
  readonly create?: boolean;
}

export interface SessionsCounters {
  /** Scopes begun, nested ones too. */
  scopes: number;
  /** Root scopes that found the lock held and went in without waiting for the store. */
  servedFromHeldLock: number;
  /** Of those, the ones that changed nothing: no message at all was sent for them. */
  servedWithoutMessage: number;
}

export class LockedSessions {
  private readonly tally: SessionsCounters = { scopes: 0, servedFromHeldLock: 0, servedWithoutMessage: 0 };
  /** Least recently opened first. */
  private readonly gates = new Map<string, SessionGate>();
  private readonly keeper: GateKeeper;
  private readonly driver: HolderDriver;
  private held = 0;
  private running = 0;
  private closing = false;
  private closed: Promise<void> | undefined;
  private onIdle: (() => void) | undefined;
  private mismatch: LockedSessionError | undefined;
  private cancelSweep = () => {};
  private expiry = { at: Infinity, cancel: () => {} };
  private readonly commitDeadline = () => this.deadline(this.settings.commitWaitMs);

  /** `holder` names this incarnation of the process: never used before, never again. */
  constructor(
    holder: string,
    private readonly ports: SessionsPorts,
    private readonly settings: SessionsSettings,
    machine?: HolderMachine,
  ) {
    this.driver = new HolderDriver(holder, ports, settings, (event) => this.happened(event), machine);
    this.keeper = {
      settings,
      want: (session, deadline, create) => this.driver.want(session, deadline, create),
      commitDeadline: this.commitDeadline,
      giveUp: (session) => this.driver.giveUp(session),
      commit: (grant, changes) => this.driver.commit(grant, changes),
      flush: (grant) => this.driver.flush(grant),
      prove: (grant) => this.driver.prove(grant),
      trusts: (grant) => this.driver.trusts(grant),
      release: (grant) => {
        this.held--;
        this.driver.release(grant, noChanges);
      },
      destroy: (grant) => {
        this.held--;
        this.driver.destroy(grant);
      },
      expireAt: (deadline) => this.expireAt(deadline),
      after: (delayMs, task) => ports.clock.after(delayMs, task),
    };
  }

  /** Resolves when the broker is there for the first time. Scopes may be run before: they wait. */
  start(): Promise<void> {
    this.sweepLater();
    return this.driver.start();
  }

  /**
   * Runs `body` with the named attributes of session `id` locked (the whole session when none are named), and resolves with its result when all
   * changes are durable. If `body` fails, nothing has changed. Inside a scope of the same session it is a nested scope (rule 18). `waitSignal` is called only when the scope
   * has to wait, and ends the wait: for signals that are dear to make.
   *
   * Rejects with what `body` throws, or a `LockedSessionError`: `wait-timeout`, `too-many-waiting`, `store-busy`, `shutting-down` or `aborted`
   * (nothing was done), `lock-circle`, `lock-upgrade`, `value-not-serializable` (nothing was changed), `lock-lost` (the changes were refused),
   * `outcome-unknown` (they may be applied or not), `session-id`, `attribute-name`, `deployment`.
   */
  async run<T>(
    id: string,
    options: RunOptions,
    body: (session: SessionHandle) => T | Promise<T>,
    waitSignal?: () => AbortSignal | undefined,
  ): Promise<T> {
    const outer = currentScope.getStore();
    const plan = planOf(options);
    this.tally.scopes++;
    if (this.closing && !outer?.isLive) throw shuttingDown();
    if (this.mismatch) throw this.mismatch;
    if (options.signal?.aborted) throw aborted(options.signal);
    const gate = this.gates.get(id) ?? this.open(id, options.isNew);
    const { label = `scope ${this.tally.scopes}`, isNew = false } = options;
    const writeBack = this.settings.writeBackMs > 0;
    const scope = new Scope(this, id, outer, label, isNew, this.commitDeadline, writeBack);
    scope.unkept = options.unkept ?? false;
    this.running++;
    try {
      const { held } = gate;
      const entering = gate.enter(scope, plan, () => this.waitOptions(scope, options, waitSignal));
      if (entering) await entering;
      scope.foundHeld = scope.held === held;
      if (scope.foundHeld && !scope.parent && !isNew) this.tally.servedFromHeldLock++;
      const result = await currentScope.run(scope, body, scope);
      if (!scope.parent) {
        if (scope.destroyed || scope.nextId !== undefined) await this.replace(gate, scope);
        else scope.send();
        if (scope.withoutMessage) this.tally.servedWithoutMessage++;
      }
      const concluded = this.leave(gate, scope);
      if (concluded) await concluded;
      return result;
    } catch (error) {
      // What the scope saw counts even when it fails: if that was refused, the error may come of it.
      const concluded = scope.ended ? undefined : this.leave(gate, scope);
      const isUnknown = error instanceof LockedSessionError && error.code === 'outcome-unknown';
      if (isUnknown)
        concluded?.catch(() => {}); // no other error may promise more
      else await concluded;
      throw error;
    } finally {
      this.forget(gate);
      this.running--;
      if (this.running === 0) this.onIdle?.();
    }
  }

  /** An id for a session that is to be made. */
  newId(): string {
    return this.ports.newId();
  }

  /** The handle of the scope around this call. Throws `no-scope` when there is none. */
  current(): SessionHandle {
    return requireScope();
  }

  /** Counts since the start, for operators. */
  counters() {
    let waiting = 0;
    for (const gate of this.gates.values()) waiting += gate.snapshot().waiting;
    return {
      ...this.tally,
      ...this.driver.machine.counters,
      ...this.driver.counters,
      held: this.held,
      waiting,
    };
  }

  /**
   * Takes no new scopes, lets running ones finish (for at most `closeMs`), releases every lock, waits for the answers (for at most `closeMs`) and
   * closes the link.
   */
  close(): Promise<void> {
    this.closed ??= this.end();
    return this.closed;
  }

  /** Takes no new scopes, and turns away those that wait for a lock; what runs goes on. */
  turnAway(): void {
    this.closing = true;
    for (const gate of [...this.gates.values()]) gate.close();
  }

  private async end(): Promise<void> {
    this.turnAway();
    if (this.running > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.ports.clock.after(this.settings.closeMs, resolve);
        this.onIdle = () => {
          cancel();
          resolve();
        };
      });
    }
    // Running scopes may have nested runs of other sessions since.
    this.turnAway();
    for (const gate of [...this.gates.values()]) gate.abandon();
    await this.driver.close(this.settings.closeMs);
    this.cancelSweep();
  }

  /** The new session first, then the end of the old one: at no moment there is none, and never two that stay (rule 17). */
  private async replace(gate: SessionGate, scope: Scope): Promise<void> {
    const { held } = scope;
    const next = scope.destroyed ? undefined : scope.nextId;
    const state = next === undefined ? undefined : scope.state();
    if (state) scope.nextToken = state.size > 0 ? await this.make(next!, state) : [0, 0];
    try {
      held.flush();
      await scope.durable();
      await held.durable(gate.destroy(held), this.commitDeadline);
    } catch (error) {
      // What becomes of that changes nothing of what is known of the old one.
      if (state && state.size > 0) await this.run(next!, {}, (session) => session.destroy()).catch(() => {});
      throw error;
    }
  }

  /** Returns the token of the new session's first grant. */
  private async make(id: string, state: ReadonlyMap<string, Uint8Array>): Promise<Token> {
    const gate = this.open(id, true);
    const held = gate.held!;
    held.inside++;
    try {
      await held.durable(held.commit({ set: state, delete: [] }), this.commitDeadline);
      return held.grant.token;
    } finally {
      gate.left(held);
      this.forget(gate);
    }
  }

  private leave(gate: SessionGate, scope: Scope): Promise<void> | undefined {
    scope.end();
    if (!scope.held) return undefined;
    // Before leaving: a grant that ends then must know what waits for its answers.
    const concluded = scope.parent ? undefined : scope.concluded();
    gate.leave(scope);
    gate.used = this.tally.scopes;
    return concluded;
  }

  private open(id: string, isNew = false): SessionGate {
    if (!isSessionId(id)) {
      throw new LockedSessionError(
        'session-id',
        `a session's id is 1 to 128 visible ASCII characters, not ${JSON.stringify(id)}`,
      );
    }
    const gate = new SessionGate(id, this.keeper);
    this.gates.set(id, gate);
    if (isNew) gate.openLocal();
    return gate;
  }

  /** Drops a gate that has nothing to remember. A scope of a grant that ended early may come from a gate that was followed by another. */
  private forget(gate: SessionGate): void {
    if (gate.forgettable && this.gates.get(gate.id) === gate) this.gates.delete(gate.id);
  }

  private waitOptions(
    scope: Scope,
    options: RunOptions,
    waitSignal: (() => AbortSignal | undefined) | undefined,
  ): WaitOptions {
    const { outer } = scope;
    let { waitMs = this.settings.waitMs } = options;
    // Two scopes that nest two sessions in opposite order would wait for each other: one of them waits a short time only (rule 19).
    if (outer && !scope.parent && scope.id < outer.id) waitMs = Math.min(waitMs, this.settings.nestedWaitMs);
    return {
      deadline: this.deadline(waitMs),
      create: options.create ?? true,
      signal: options.signal ?? waitSignal?.(),
    };
  }

  private deadline(ms: number): number {
    const deadline = this.ports.clock.now().mono + ms;
    this.expireAt(deadline);
    return deadline;
  }

  // What the store says. -----------------------------------------------------------------------------------------------

  private happened(event: HolderEvent): void {
    if (event.kind === 'partitions') return this.counted(event.partitions);
    const id = event.kind === 'refused' ? event.session : event.grant.session;
    // With write-back this may come when nobody here thinks of the session any more.
    if (event.kind === 'lost') this.warnOfLoss(event);
    const gate = this.gates.get(id);
    if (!gate) return;
    switch (event.kind) {
      case 'granted':
        this.held++;
        gate.granted(event.grant, event.contended);
        if (this.held > this.settings.heldSessions) this.releaseSome(gate);
        break;
      case 'recalled':
        gate.recalled();
        break;
      case 'trusted':
        gate.trusted();
        break;
      case 'acknowledged':
        gate.acknowledged(event.grant);
        break;
      case 'lost':
        if (gate.held?.grant === event.grant) this.held--;
        gate.lost(event.grant, event.why);
        break;
      case 'refused':
        gate.refused(event.why, event.detail);
    }
    this.forget(gate);
  }

  private warnOfLoss({ grant, why, madeAreLost }: Extract<HolderEvent, { kind: 'lost' }>): void {
    const results = madeAreLost ? ', and with it changes of which write-back had given the results' : '';
    this.ports.log.warn(`session ${grant.session}: the lock is lost (${why})${results}`);
  }

  /** Sessions must be looked for in the same partitions as everywhere: until then nothing is to be done here. */
  private counted(partitions: number): void {
    this.mismatch =
      partitions === this.settings.partitions
        ? undefined
        : wrongPartitions(partitions, this.settings.partitions);
    if (!this.mismatch) return;
    this.ports.log.error(this.mismatch.message);
    for (const gate of [...this.gates.values()]) gate.turnAway(this.mismatch);
  }

  /** Releases what was not used between two sweeps. */
  private sweepLater(before = 0): void {
    this.cancelSweep = this.ports.clock.after(this.settings.idleReleaseMs, () => {
      for (const gate of this.gates.values()) if (gate.used <= before) gate.releaseIfIdle();
      this.sweepLater(this.tally.scopes);
    });
  }

  /** Makes room for a sixteenth of the cap at once, so that the search is paid rarely. */
  private releaseSome(newest: SessionGate): void {
    const target = this.settings.heldSessions - (this.settings.heldSessions >> 4);
    const idle = [...this.gates.values()].filter((gate) => gate.idle && gate !== newest);
    idle.sort((a, b) => a.used - b.used);
    for (const gate of idle) {
      if (this.held <= target) return;
      gate.releaseIfIdle();
    }
  }

  /** One timer serves all waits: it is set for the earliest deadline and, when it fires, looks for the next. */
  private expireAt(deadline: number): void {
    if (deadline >= this.expiry.at) return;
    this.expiry.cancel();
    const { clock } = this.ports;
    const cancel = clock.after(Math.max(0, deadline - clock.now().mono), () => {
      this.expiry.at = Infinity;
      const now = clock.now().mono;
      let next = Infinity;
      for (const gate of this.gates.values()) {
        next = Math.min(next, gate.expire(now));
        this.forget(gate);
      }
      if (next < Infinity) this.expireAt(next);
    });
    this.expiry = { at: deadline, cancel };
  }
}

const plans = new WeakMap<object, LockPlan>();

/** Options are mostly one object used again and again: its plan is made once. */
function planOf(options: RunOptions): LockPlan {
  let plan = plans.get(options);
  if (!plan) plans.set(options, (plan = lockPlan(options)));
  return plan;
}
