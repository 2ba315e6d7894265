/**
 * Concludes a root scope: sends its changes, gives the session another id, or ends it (rule 17). A scope is
 * concluded early when its answer leaves while it runs.
 */
import { sessionDestroyed } from '../gate/gate-errors.js';
import type { HeldSession } from '../gate/held-session.js';
import type { SessionGate } from '../gate/session-gate.js';
import type { Scope } from '../scope/scope.js';
import type { ScopeTraces } from '../scope/scope-trace.js';
import type { Gates } from './gates.js';

interface Made {
  readonly gate: SessionGate;
  readonly held: HeldSession;
}

export class Conclusion {
  constructor(
    readonly gates: Gates,
    private readonly traces: ScopeTraces | undefined,
  ) {}

  /** At the end of the body. Undefined when only the scope's own `concluded` remains to be awaited. */
  atEnd(gate: SessionGate, scope: Scope): Promise<void> | undefined {
    if (scope.sealing) return this.checkSealed(scope);
    if (scope.sessionEnd.isWanted) return this.replace(gate, scope);
    scope.send();
    return undefined;
  }

  /** While the body runs. */
  async early(scope: Scope): Promise<void> {
    const { held } = scope;
    if (held.lost) throw held.lost;
    const { session } = held.grant;
    const gate = this.gates.get(session);
    if (held.over || !gate) throw sessionDestroyed(session);
    if (scope.sessionEnd.isWanted) return this.replace(gate, scope);
    scope.send();
    await scope.concluded();
  }

  /** A draft may have been changed after the scope was sealed. No call has refused that. */
  private async checkSealed(scope: Scope): Promise<void> {
    await scope.sealing;
    if (!scope.sessionEnd.isDestroyed) scope.send();
  }

  /**
   * Makes the new session first, and then ends the old one. So there is always one, and never two that stay
   * (rule 17).
   */
  private async replace(gate: SessionGate, scope: Scope): Promise<void> {
    const { held } = scope;
    if (held.lost) throw held.lost;
    const end = scope.askedEnd;
    const next = end.isDestroyed ? undefined : end.nextId;
    const state = next === undefined ? undefined : scope.state();
    if (state) scope.trace?.readsAll(held.grant);
    const made = state && state.size > 0 ? this.make(next!) : undefined;
    const trace = made && this.traces?.begin(next!);
    const deadline = () => this.gates.commitDeadline();
    try {
      if (made) {
        const changes = { set: state!, removed: [] };
        const seq = made.held.commit(changes);
        trace?.changes(made.held.grant, seq, changes);
        await made.held.durable(seq, deadline);
        trace?.ends('well', made.held.grant, seq);
      }
      if (state) end.nextToken = made?.held.grant.token ?? [0, 0];
      held.flush();
      await scope.durable();
      scope.trace?.leaves();
      await held.durable(gate.destroy(held), deadline);
      end.isDone = true;
    } catch (error) {
      if (made) await this.unmake(made);
      throw error;
    } finally {
      if (made) {
        made.gate.left(made.held);
        this.gates.forget(made.gate);
      }
    }
  }

  /** A new session that is in use until it is left. */
  private make(id: string): Made {
    const gate = this.gates.openUnsaved(id);
    const held = gate.held!;
    held.inside++;
    return { gate, held };
  }

  /**
   * This process still holds the lock on the made session, so that this needs no scope, also while the
   * process ends. Its outcome says nothing about the old session.
   */
  private async unmake({ gate, held }: Made): Promise<void> {
    try {
      await held.durable(gate.destroy(held), () => this.gates.commitDeadline());
    } catch {
      // The store does not answer, or the lock is lost. Nobody knows the id, and the session expires.
    }
  }
}
