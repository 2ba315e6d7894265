/**
 * Rules switched off, one at a time: the checkers must notice. A checker that misses its canary proves
 * nothing.
 */
import type { Variant } from '../world/deployment.js';

export const canaries: Readonly<Record<string, Variant>> = {
  /** Rule 15 without touches: the store ignores what holders tell of a session's use. */
  'expiry-ignores-touches': { store: { touchCounts: () => false } },
  /** Rule 15 by the expiry index alone: a grant does not look at the time. */
  'grants-what-is-due': { store: { isOverAtGrant: () => false } },
  /** Rule 14 without tombstones: a slow request brings a destroyed session back. */
  'late-save-revives': { store: { isDestroyed: () => false } },
  /** Rules 8 and 9 without a deadline: a holder trusts its lock for ever. */
  'no-deadline-check': { holder: { isTrusted: () => true } },
  'no-epoch-check': { checksEpochs: false },
  /** Rule 1 without the fence: the store accepts any change. */
  'no-token-check': {
    store: {
      currentGrant: ({ grant }, change) => {
        if (grant && change.seq > 0) grant.seq = change.seq - 1;
        return grant;
      },
    },
  },
  /** Rule 10 without echoes: a deadline passes by the clock, even if unread frames wait. */
  'store-does-not-listen': {
    store: { hasPassed: (deadline, _heardThrough, now) => deadline <= now.mono, mayBeBlocked: () => false },
  },
  /** Rule 10 without patience: the store revokes a lock at once for any waiter. */
  'store-revokes-early': { store: { revocationReason: () => 'lease-over', isOutOfUse: () => true } },
};
