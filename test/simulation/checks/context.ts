/**
 * What the parts of the checkers share: virtual time, the stores' settings, the violations, and texts for the
 * trace.
 */
import type { Token } from '#protocol';
import type { World } from '../world/world.js';

export interface CheckedSettings {
  readonly partitions: number;
  readonly leaseMs: number;
  readonly recallTimeoutMs: number;
  readonly ttlMs: number;
  readonly unreachableHolder: 'wait-for-lease' | 'revoke';
  readonly writesBack: boolean;
  readonly clockDrift: number;
}

export interface Context {
  readonly world: World;
  readonly settings: CheckedSettings;
  violation(what: string): void;
}

export function grantName(holder: string, session: string, token: Token): string {
  return `${holder} ${session} ${token.join('.')}`;
}

/** A message for the trace. Of attributes it has the names alone. */
export function asText(message: object): string {
  return JSON.stringify(message, (_key, value: unknown) =>
    value instanceof Map ? [...value.keys()] : value,
  );
}
