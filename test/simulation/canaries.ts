/** Rules switched off, one at a time: the checkers must notice. A checker that misses its canary proves nothing. */
import { PartitionMachine } from '#protocol';
import type { Variant } from './deployment.js';

/** Rule 1 without its fence: whoever comes last is believed. */
class NoTokenCheck extends PartitionMachine {
  protected override currentGrant(...[session, change]: Parameters<PartitionMachine['currentGrant']>) {
    const grant = session.record?.grant;
    if (!grant) return undefined;
    if (change.seq > 0) grant.seq = change.seq - 1;
    return grant;
  }
}

/** Rule 14 without its tombstones: whoever is slow enough brings a destroyed session back. */
class NoTombstones extends PartitionMachine {
  protected override isDestroyed(): boolean {
    return false;
  }
}

export const canaries: Readonly<Record<string, Variant>> = {
  'late-save-revives': { machine: (...of) => new NoTombstones(...of) },
  'no-token-check': { machine: (...of) => new NoTokenCheck(...of) },
};
