/** Rules switched off, one at a time: the checkers must notice. A checker that misses its canary proves nothing. */
import { HolderMachine, PartitionMachine } from '#protocol';
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

/** Rule 15 without its touches: what a holder says of a session's use is not heard. */
class NoTouches extends PartitionMachine {
  protected override touch(): void {}
}

/** Rule 10 without its patience: whoever waits has the lock taken away for it at once. */
class RevokesEarly extends PartitionMachine {
  protected override revocable() {
    return 'lease-over' as const;
  }

  protected override isOutOfUse(): boolean {
    return true;
  }
}

/** Rules 8 and 9 without their deadline: a lock once granted is trusted for ever. */
class NoDeadline extends HolderMachine {
  override trusts(): boolean {
    return true;
  }
}

export const canaries: Readonly<Record<string, Variant>> = {
  'expiry-ignores-touches': { machine: (...of) => new NoTouches(...of) },
  'late-save-revives': { machine: (...of) => new NoTombstones(...of) },
  'no-deadline-check': { holder: (rules) => new NoDeadline(rules) },
  'no-epoch-check': { checksEpochs: false },
  'no-token-check': { machine: (...of) => new NoTokenCheck(...of) },
  'store-revokes-early': { machine: (...of) => new RevokesEarly(...of) },
};
