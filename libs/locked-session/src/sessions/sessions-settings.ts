/** The arguments of `LockedSessions`: its ports, and the settings of all its parts. */
import type { GateSettings } from '../gate/gate-host.js';
import type { ExecutionContext } from '@nestjs/common';
import type { ClassInstances } from '../values.js';
import type { HolderSettings } from '../holder/holder-driver.js';
import type { HolderPorts } from '../holder/holder-ports.js';

/** Finds the id of the session that a request names. */
export type FindSession = (context: ExecutionContext) => Promise<string | undefined>;

export interface SessionsPorts extends HolderPorts {
  /** Makes a session's id that nobody can guess. */
  readonly newId: () => string;
  /** Finds the session of a request. Undefined where there are no requests. */
  readonly find?: FindSession;
}

export interface SessionsSettings extends HolderSettings, GateSettings {
  /** How long a scope waits for its locks when it gives no `waitMs`, in milliseconds. */
  readonly waitMs: number;
  /**
   * The longest wait for another session inside a scope, unless its id is greater (rule 19), in milliseconds.
   */
  readonly nestedWaitMs: number;
  /** How long a result waits for the store's acknowledgement, in milliseconds. */
  readonly commitWaitMs: number;
  /** Most sessions held at once. Beyond it the least recently used are released (rule 3). */
  readonly heldSessions: number;
  /**
   * A session that no scope has used for this long is released, after twice this at the latest, in
   * milliseconds (rule 3).
   */
  readonly idleReleaseMs: number;
  /** Whether class instances in attributes are refused or copied. */
  readonly classInstances: ClassInstances;
  /** How long a shutdown lets scopes run and gives locks back, in milliseconds. */
  readonly closeMs: number;
}
