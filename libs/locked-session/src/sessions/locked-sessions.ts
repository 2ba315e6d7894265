/**
 * The sessions of this process, and the way to one: `run(id, what to lock, body)`. It brings gates, scopes
 * and the holder together. Nest's part (module, decorators, interceptor) is a thin layer above.
 */
import type { ExecutionContext } from '@nestjs/common';
import { keptAlive } from '#broker';
import type { HolderRules } from '#protocol';
import { LockedSessionError } from '../errors.js';
import { aborted, noBody, shuttingDown } from '../gate/gate-errors.js';
import { guarded } from '../holder/guarded.js';
import { HolderDriver } from '../holder/holder-driver.js';
import { neededNoMessage } from '../scope/outcome.js';
import type { ScopeSettings } from '../scope/scope-settings.js';
import { runWithin } from '../scope/run-within.js';
import { currentScope, requireScope, Scope } from '../scope/scope.js';
import { ScopeTraces } from '../scope/scope-trace.js';
import type { SessionHandle } from '../scope/session-handle.js';
import { Conclusion } from './conclusion.js';
import { giveBackIdle, lastRelease, until } from './departure.js';
import { Gates } from './gates.js';
import { planOfRun, type RunOptions } from './run-options.js';
import type { SessionsPorts, SessionsSettings } from './sessions-settings.js';
import { StoreEvents } from './store-events.js';
import { Visit, type VisitOptions } from './visit.js';

export interface SessionsCounters {
  /** Scopes begun, nested ones too. */
  scopes: number;
  /** Root scopes that found the lock held and went in without waiting for the store. */
  servedFromHeldLock: number;
  /** Of those, the ones that changed nothing: no message at all was sent for them. */
  servedWithoutMessage: number;
}

/**
 * The least time that the store has to answer the last releases, in milliseconds. It may go beyond `closeMs`.
 */
const leastAnswerMs = 250;

export class LockedSessions {
  private readonly ports: SessionsPorts;
  private readonly driver: HolderDriver;
  private readonly gates: Gates;
  private readonly events: StoreEvents;
  private readonly conclusion: Conclusion;
  private readonly scopes: ScopeSettings;
  private readonly tally = { servedFromHeldLock: 0, servedWithoutMessage: 0 };
  private running = 0;
  private onIdle: (() => void) | undefined;
  private started: Promise<void> | undefined;
  private closed: Promise<void> | undefined;

  /** `holder` names this incarnation of the process: never used before, never again. */
  constructor(
    holder: string,
    given: SessionsPorts,
    private readonly settings: SessionsSettings,
    rules?: Partial<HolderRules>,
  ) {
    const ports = (this.ports = guarded(given));
    this.driver = new HolderDriver(holder, ports, settings, (event) => this.events.handle(event), rules);
    this.gates = new Gates(this.driver, ports, settings);
    this.events = new StoreEvents(this.gates);
    const traces = ports.trace && new ScopeTraces(ports.trace);
    this.conclusion = new Conclusion(this.gates, traces);
    const { writeBackMs, classInstances } = settings;
    const commitDeadline = () => this.gates.commitDeadline();
    this.scopes = { sessions: this, commitDeadline, writeBack: writeBackMs > 0, classInstances, traces };
  }

  /**
   * Resolves when the broker is there for the first time. Scopes may be run before. They wait, and the first
   * one calls `start`. Rejects when the broker cannot be joined.
   */
  start(): Promise<void> {
    if (!this.started) {
      this.gates.startSweeps();
      this.started = this.driver.start();
    }
    return this.started;
  }

  /**
   * Runs `body` with the named attributes of session `id` locked, or the whole session when none are named.
   * Resolves with its result when all changes are durable. If `body` fails, its changes are dropped. Inside a
   * scope of the same session it is a nested scope (rule 18).
   *
   * Rejects with the error of `body`, or with a `LockedSessionError`. Nothing was done after `wait-timeout`,
   * `too-many-waiting`, `store-busy`, `shutting-down`, `aborted`, `unknown-session`, `session-id`,
   * `attribute-name`, `deployment` and `settings` (an option is wrong). Changes since the last `commit()` are
   * dropped after `deadlock`, `lock-upgrade`, `not-locked`, `scope-ended`, `value-not-serializable`,
   * `too-large`, `lock-lost` and `session-destroyed`. Nothing of a new session is kept after `id-taken`. The
   * changes may be applied or not after `outcome-unknown`. `internal` is a fault of the library, and the log
   * has its cause.
   */
  run<T>(id: string, options: RunOptions, body: (session: SessionHandle) => T | Promise<T>): Promise<T> {
    return this.visit(id, options, {}, body);
  }

  /** As `run`, for callers within the library. It is not for applications, and may change in any version. */
  async visit<T>(
    id: string,
    options: RunOptions,
    by: VisitOptions,
    body: (scope: Scope) => T | Promise<T>,
  ): Promise<T> {
    const plan = planOfRun(options);
    if (typeof body !== 'function') throw noBody(body);
    const visit = this.begin(id, options, by);
    const { scope } = visit;
    this.running++;
    try {
      const entering = visit.enter(plan);
      if (entering) await entering;
      if (visit.begin() && !scope.parent && !scope.isNew) this.tally.servedFromHeldLock++;
      const running = runWithin(currentScope, scope, body);
      const result = isPromise(running) ? await running : running;
      const concluding = visit.conclude();
      if (concluding) await concluding;
      if (!scope.parent && neededNoMessage(scope)) this.tally.servedWithoutMessage++;
      const leaving = visit.leave();
      if (leaving) await leaving;
      return result;
    } catch (error) {
      // A scope that fails waits, too, for what it has seen to be durable. If that is refused, its error may
      // come from it.
      const leaving = visit.fail();
      const isUnknown = error instanceof LockedSessionError && error.code === 'outcome-unknown';
      if (isUnknown)
        leaving?.catch(() => {}); // a later error would promise that nothing was changed
      else await leaving;
      throw error;
    } finally {
      visit.forget();
      this.running--;
      if (this.running === 0) this.onIdle?.();
    }
  }

  /**
   * Concludes a root scope though its body still runs, since its answer leaves. From now on the scope can
   * read, and change nothing. Resolves when its changes, and an end of the session, are durable. Rejects as
   * `run` does.
   */
  seal(scope: Scope): Promise<void> {
    scope.sealing ??= this.conclusion.early(scope);
    return scope.sealing;
  }

  /** Resolves when `over` does, and after `ms` milliseconds at the latest. */
  async atMost(ms: number, over: Promise<void>): Promise<void> {
    let cancel = () => {};
    const late = new Promise<void>((resolve) => (cancel = this.ports.clock.after(ms, resolve)));
    await Promise.race([over, late]);
    cancel();
  }

  /** Makes an id for a new session. */
  newId(): string {
    return this.ports.newId();
  }

  /**
   * The id of the session that a request names, by its signed cookie or by the module's `resolve`, for
   * guards. Undefined when no cookie is signed by a known secret. `run` it with `create: false` to learn
   * whether there is such a session. Rejects with `settings` outside HTTP when sessions are found by cookie.
   */
  async idOf(context: ExecutionContext): Promise<string | undefined> {
    return this.ports.find?.(context);
  }

  /**
   * The handle of the scope around this call. It is found by the asynchronous context: a job in a queue that
   * requests share needs `AsyncResource.bind`. Throws `no-scope` when there is none.
   */
  current(): SessionHandle {
    return requireScope();
  }

  /** Counts since the start, and sizes now, for operators. */
  counters() {
    const { begun: scopes, held, waiting, size: sessions } = this.gates;
    const counts: SessionsCounters = { scopes, ...this.tally };
    return {
      ...counts,
      ...this.driver.machine.counters,
      ...this.driver.counters,
      held,
      waiting,
      /** Sessions that this process holds, waits for, or awaits an answer about. */
      sessions,
    };
  }

  /**
   * Takes no new scopes, lets running ones finish and gives locks back, for at most `closeMs`. Locks with
   * unsent changes go first. Then scopes that still run fail. At last the process tells the stores that it
   * has left and holds nothing (rule 3), and closes the link.
   */
  close(): Promise<void> {
    this.closed ??= keptAlive(this.ports.clock, () => this.end());
    return this.closed;
  }

  private async end(): Promise<void> {
    const { gates, driver } = this;
    const { clock } = this.ports;
    const { closeMs } = this.settings;
    const now = clock.now().mono;
    const deadline = now + closeMs;
    const releasing = lastRelease(now, closeMs);
    gates.close();
    const isIdle = until(clock, deadline, (resolve) => {
      this.onIdle = resolve;
      if (this.running === 0) resolve();
    });
    await Promise.all([isIdle, giveBackIdle(gates, driver, releasing)]);
    await giveBackIdle(gates, driver, releasing); // the locks of scopes that have ended since
    gates.abandon();
    await driver.close(Math.max(leastAnswerMs, deadline - clock.now().mono));
    gates.end();
  }

  private begin(id: string, options: RunOptions, by: VisitOptions): Visit {
    const { gates } = this;
    const outer = by.within ?? currentScope.getStore();
    gates.begun++;
    if (gates.isAbandoned || (gates.isClosing && !outer?.isLive)) throw shuttingDown();
    if (this.events.mismatch) throw this.events.mismatch;
    if (options.signal?.aborted) throw aborted(options.signal);
    if (!this.started) this.start().catch(() => {}); // the module's own call logs it
    const gate = gates.get(id) ?? (by.isNew ? gates.openUnsaved(id) : gates.open(id));
    const scope = new Scope(id, outer, options.label ?? gates.begun, by, this.scopes);
    return new Visit(scope, gate, this.conclusion, options, by);
  }
}

/** A body that returns no promise is not awaited: its scope ends in the same turn. */
function isPromise<T>(result: T | Promise<T>): result is Promise<T> {
  return typeof (result as { then?: unknown } | null | undefined)?.then === 'function';
}
