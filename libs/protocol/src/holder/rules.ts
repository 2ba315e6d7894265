/**
 * The holder's safety decisions. Each is a pure function. Its comment begins with its rule in
 * docs/PROTOCOL.md. The parts of the machine gather the facts for a decision and act on the result. A test
 * switches a decision off by giving the machine another function in its place.
 */
import { compareTokens, sameToken, type Now, type Token } from '../wire/order.js';

/** A holder trusts this share of a lease. The rest allows for clocks that run at different rates. */
const trustedShare = 0.9;

export const holderRules = {
  /** Rule 2: until when to ask for the lock. That is when the last waiting scope gives up. */
  deadline: (known: number, asked: number): number => Math.max(known, asked),

  /** Rule 2: whether the last waiting scope has given up. */
  isTimedOut: (deadline: number, mono: number): boolean => deadline <= mono,

  /** Rule 2: whether the store must learn of a longer wait before the next repeat would tell it. */
  mustAnnounce: (announcedDeadline: number, mono: number, repeatMs: number): boolean =>
    announcedDeadline < mono + 2 * repeatMs,

  /** Rule 6: whether an answer for everything through `through` covers this change. */
  isAnswered: (seq: number, through: number): boolean => seq <= through,

  /** Rule 6: whether the store may have this change and not the other one. */
  isBefore: (seq: number, other: number): boolean => seq < other,

  /** Rule 6: whether the store now has less than it acknowledged before. A power loss took it back. */
  isTakenBack: (appliedThrough: number | undefined, acknowledged: number): boolean =>
    appliedThrough !== undefined && appliedThrough < acknowledged,

  /** Rule 8: whether a lease that was asked for at `startedAt` still runs, by both clocks. */
  leaseRuns: (startedAt: Now, leaseMs: number, now: Now): boolean =>
    Math.max(now.mono - startedAt.mono, now.wall - startedAt.wall) < trustedShare * leaseMs,

  /**
   * Rule 8, rule 9: whether a lock may be used without a question to the store. Its lease must run. The store
   * must have confirmed it since the last doubt.
   */
  isTrusted: (lock: { readonly revoked: boolean }, leaseRuns: boolean, isConfirmed: boolean): boolean =>
    !lock.revoked && leaseRuns && isConfirmed,

  /** Rule 9: whether the answer names a lock that was reclaimed. */
  isConfirmed: (token: Token, named: Token | undefined): boolean =>
    named !== undefined && sameToken(named, token),

  /** Rule 9: whether an answer that lists `listed` revoked locks may have left some out. */
  mayHideMore: (listed: number, max: number): boolean => listed >= max,

  /** Rule 11: whether a lock is untrusted after the store has named it as revoked. */
  believesRevocation: (): boolean => true,

  /** Rule 12: a grant is accepted only for the outstanding request, and only above each returned token. */
  acceptsGrant: (
    wait: { readonly request: number; readonly returned: Token | undefined } | undefined,
    grant: { readonly request: number; readonly token: Token },
  ): boolean => wait?.request === grant.request && isAbove(grant.token, wait.returned),

  /**
   * Rule 12: whether the answer to a renewal shows that a message arrived. Renewal `sentWith` followed the
   * message. A full renewal repeats all such messages. A bare one shows only that those right before it
   * arrived.
   */
  isHeard: (sentWith: number, answered: number, isFull: boolean): boolean =>
    isFull ? sentWith <= answered : sentWith === answered,

  /** Rule 12: whether a token is above each returned one. Then it is the new bound. */
  isAbove: (token: Token, returned: Token | undefined): boolean => isAbove(token, returned),

  /** Rule 13: whether a frame of this epoch is from a new owner, the same one, or an earlier one. */
  ownerOf: (epoch: number, known: number): 'new' | 'same' | 'stale' => {
    if (epoch < known) return 'stale';
    return epoch === known || known === 0 ? 'same' : 'new';
  },

  /** Rule 13: whether the store counts as many partitions as before. */
  agrees: (partitions: number, known: number): boolean => partitions === known,

  /** Rule 15: whether the store must learn of a use now. */
  isTouchDue: (sinceMs: number, everyMs: number): boolean => sinceMs >= everyMs,

  /** Rule 22: whether a message goes to the own queue of the owner, past those in the partition's queue. */
  goesDirect: (isRequest: boolean, key: string | undefined): boolean => key !== undefined && !isRequest,

  /** Rule 22: whether what comes back from a key, or is disowned there, was sent to a believed owner. */
  isDisowned: (believed: string | undefined, key: string): boolean => believed === key,

  /** Rule 22: whether an owner that owes an answer for so long is not believed to be there any more. */
  isSilent: (owesMs: number, repeatMs: number): boolean => owesMs >= repeatMs / 2,

  /**
   * Rule 23: whether an unused lock that goes from holder to holder is given back now. While several results
   * wait for the store, those who get them are likely to come again.
   */
  isTurnOver: (resultsThatWait: number): boolean => resultsThatWait < 2,
};

const isAbove = (token: Token, returned: Token | undefined) =>
  !returned || compareTokens(token, returned) > 0;

export type HolderRules = typeof holderRules;
