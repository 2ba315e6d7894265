/**
 * The store's safety decisions. Each is a pure function. Its comment begins with its rule in
 * docs/PROTOCOL.md. The parts of the machine gather the facts for a decision and act on the result. A test
 * switches a decision off by giving the machine another function in its place. A fact that only some
 * decisions need, or that costs a message to find out, is given as a function.
 */
import type {
  Acquire,
  Commit,
  Destroy,
  Knock,
  ReclaimedLock,
  Release,
  RevocationReason,
} from '../wire/messages.js';
import { compareVersions, sameToken, type Now, type Version } from '../wire/order.js';
import type { StoreParameters } from './parameters.js';
import type { EndedGrant, GrantRecord, SessionRecord } from './record.js';
import type { SessionState } from './session-state.js';

/**
 * The session of an unreachable holder is kept for this share of its time to live beyond its end. A touch may
 * still be on its way.
 */
const graceShare = 1 / 4;

/**
 * A time above `lateShare` of a lease shows that frames may be lost. A time above `slowShare` shows a slow
 * path.
 */
const lateShare = 1 / 2;
const slowShare = 1 / 20;
/** A holder's clock may be ahead of the store's by so much, in milliseconds. */
const maxAheadMs = 24 * 3_600_000;
/** An acquire that was put into a queue so long ago has come, or will never, in milliseconds. */
const unheardMs = 250;

/** A lock that another holder wants so soon after its grant goes from holder to holder, in milliseconds. */
const soonMs = 100;
/** So often in a row makes it so. A count is not higher than `maxPasses`, so that it ends as soon. */
const minPasses = 2;
const maxPasses = 4;
/** All that wait for a session have had a turn in about this time, in milliseconds. */
const roundMs = 200;
/** A turn takes no more than this share of the time that the next waiter has left. */
const waitShare = 1 / 4;

/** The epochs of a store's claim of a partition: the new one, and the one before it. */
export interface ClaimedEpochs {
  readonly epoch: number;
  readonly previous: number;
}

/** A change, or the end of a session, under a token. */
type Change = Commit | Release | Destroy;

export const storeRules = {
  /**
   * Rule 1: the fence. Returns the grant under which the change may be applied. Undefined when the change
   * does not bear the current token.
   */
  currentGrant: (session: SessionState, { token }: Change, holder: string): GrantRecord | undefined => {
    const { grant } = session;
    const isIts = grant?.holder === holder && sameToken(grant.token, token);
    return isIts && !grant.revoked ? grant : undefined;
  },

  /**
   * Rule 6: whether a change is repeated, is next or leaves a gap, under a grant that is applied through
   * `applied`.
   */
  placeOf: (seq: number, applied: number): 'repeated' | 'next' | 'gap' => {
    if (seq <= applied) return 'repeated';
    return seq === applied + 1 ? 'next' : 'gap';
  },

  /** Rule 6: whether a change under an ended grant was applied, or changes nothing. */
  wasApplied: ({ kind, seq }: Pick<Change, 'kind' | 'seq'>, ended: Pick<EndedGrant, 'seq'> | undefined) =>
    (ended !== undefined && seq <= ended.seq) || (kind === 'release' && seq === 0),

  /**
   * Rule 2: whether an acquire repeats a request, is new, or is of a request that its holder has replaced.
   */
  ageOf: (request: number, newest: number | undefined): 'old' | 'repeated' | 'new' => {
    if (newest === undefined || request > newest) return 'new';
    return request === newest ? 'repeated' : 'old';
  },

  /** Rule 2: whether a waiter's time is over. */
  isTimedOut: (deadline: number, mono: number): boolean => deadline <= mono,

  /** Rule 9: whether an answered renewal names a lock of its holder as recalled, or as revoked. */
  isListed: (grant: GrantRecord, holder: string, revoked: boolean): boolean =>
    grant.holder === holder && grant.revoked === revoked,

  /**
   * Rule 9, rule 13: whether a lock in doubt is still the holder's, and the store has all that it
   * acknowledged under it.
   */
  isReclaimed: (
    grant: GrantRecord | undefined,
    holder: string,
    [, token, acknowledged]: ReclaimedLock,
  ): boolean =>
    grant?.holder === holder && sameToken(grant.token, token) && !grant.revoked && grant.seq >= acknowledged,

  /** Rule 10: why a grant may be revoked while another holder waits. Undefined while it may not. */
  revocationReason: (hasLapsed: () => boolean, isRecallOver: () => boolean): RevocationReason | undefined => {
    if (hasLapsed()) return 'lease-over';
    return isRecallOver() ? 'recall-timeout' : undefined;
  },

  /** Rule 10: whether a holder certainly does not trust its locks any more, or may be treated so. */
  hasLapsed: (
    holder: { readonly left: boolean; readonly unreachable: boolean } | undefined,
    policy: StoreParameters['unreachableHolder'],
    isLeaseOver: () => boolean,
  ): boolean => {
    if (holder?.left) return true;
    if (holder?.unreachable && policy === 'revoke') return true;
    return isLeaseOver();
  },

  /** Rule 10: how long a lease may be. An earlier owner may have granted longer ones than this one. */
  leaseMsAfter: (sinceClaimMs: number, longestLeaseMs: number, leaseMs: number): number =>
    sinceClaimMs < longestLeaseMs ? longestLeaseMs : leaseMs,

  /** Rule 10: whether a deadline has passed by the clock, so that an echo is worth its cost. */
  hasPassedByClock: (deadline: number, mono: number): boolean => deadline <= mono,

  /**
   * Rule 10: the meaning of the time that an echo took. A `late` one shows that frames may be lost. The owner
   * repeats it and spares the holders. A `slow` one does not count the first time. A broker that stood still
   * may deliver the echo before it reads the frames that wait in the connections of holders.
   */
  paceOf: (tookMs: number, leaseMs: number): 'quick' | 'slow' | 'late' => {
    if (tookMs > leaseMs * lateShare) return 'late';
    return tookMs > leaseMs * slowShare ? 'slow' : 'quick';
  },

  /** Rule 10: whether an echo that has not come back is sent again. */
  mustRepeatEcho: (sinceSentMs: number, leaseMs: number): boolean => sinceSentMs >= leaseMs * lateShare,

  /** Rule 10: whether nothing can arrive any more that was in the queue at the deadline. */
  hasPassed: (deadline: number, heardThrough: number, _now: Now): boolean => deadline <= heardThrough,

  /** Rule 10: whether each holder counts as renewed once more, since its frames may be lost. */
  mayBeBlocked: (sinceSparedMs: number, leastMs: number): boolean => sinceSparedMs >= leastMs,

  /** Rule 10: a revoked grant is out of use when its lease, as of the revocation, is over. */
  isOutOfUse: (outOfUseAt: number, mono: number, hasLapsed: () => boolean): boolean =>
    outOfUseAt <= mono || hasLapsed(),

  /** Rule 14: destroyed sessions stay destroyed. */
  isDestroyed: (session: SessionState): boolean => session.record?.destroyed !== undefined,

  /**
   * Rule 14: why an acquire of a destroyed session is refused. Undefined when it may make the session anew.
   * An acquire with `create` that is late has the values of the destroyed session. It never may.
   */
  refusalOfDestroyed: (
    destroyedUntil: number,
    { create }: Acquire,
    { tombstoneMs, destroyedNoticeMs }: Pick<StoreParameters, 'tombstoneMs' | 'destroyedNoticeMs'>,
    wall: number,
  ): 'destroyed' | 'unknown-session' | undefined => {
    const isRecent = wall < destroyedUntil - tombstoneMs + destroyedNoticeMs;
    if (isRecent || (create && create.size > 0)) return 'destroyed';
    return create ? undefined : 'unknown-session';
  },

  /**
   * Rule 12, rule 7: whether the store's state continues a holder's copy. A power loss, or a revocation, may
   * have taken changes in the copy back.
   */
  trustsCopy: ({ version, ended }: Pick<SessionRecord, 'version' | 'ended'>, known: Version): boolean => {
    const age = compareVersions(known, version);
    if (age >= 0) return age === 0;
    const [epoch, n, seq] = known;
    return ended.some((grant) => sameToken(grant.token, [epoch, n]) && seq <= grant.seq);
  },

  /** Rule 12: whether a copy of version `known` has an attribute of this version. */
  isInCopy: (version: Version, known: Version): boolean => compareVersions(version, known) <= 0,

  /**
   * Rule 13: an epoch is a time. An epoch more than a day ahead of the store's clock is not from a store of
   * this deployment.
   */
  isBelievable: (shown: number, wall: number): boolean => shown <= wall + maxAheadMs,

  /**
   * Rule 13: what a holder's highest epoch shows about the store's own data.
   * - `known`: the data know the epoch.
   * - `lost`: the data are older than the epoch. If it is above the store's own, the store must claim above
   * it.
   * - `unbelievable`: the holder lies, or a clock is wrong by more than a day. The frame is ignored.
   */
  judgeShownEpoch: (
    shown: number,
    { epoch, previous }: ClaimedEpochs,
    wall: number,
  ): 'known' | 'lost' | 'unbelievable' => {
    if (shown === epoch || shown <= previous) return 'known';
    return storeRules.isBelievable(shown, wall) ? 'lost' : 'unbelievable';
  },

  /** Rule 13: whether holders know a higher epoch than this owner's. They would drop its frames. */
  mustClaimAbove: (shown: number, epoch: number): boolean => shown > epoch,

  /** Rule 15: whether a session is due. */
  isDue: (dueAt: number, wall: number): boolean => dueAt <= wall,

  /** Rule 15: whether a session's time is over for a grant, whenever the index was last looked at. */
  isOverAtGrant: (dueAt: number, wall: number): boolean => dueAt <= wall,

  /**
   * Rule 15: when a session is due. A session with a silent holder is kept a while longer, for that holder
   * alone.
   */
  dueAt: (dueAt: number, ttlMs: number, isSilent: boolean): number =>
    dueAt + (isSilent ? ttlMs * graceShare : 0),

  /** Rule 15: whether a holder's report of a session's use counts. */
  touchCounts: (): boolean => true,

  /**
   * Rule 15: a release without changes may answer a recall of a due session. So it is no use of the session.
   */
  isUse: (change: Commit | Release): boolean =>
    change.kind === 'commit' || change.set.size > 0 || change.removed.length > 0,

  /**
   * Rule 16: whether a holder that asks to make a session may have had it before, perhaps by this request.
   * The grant may have been lost.
   */
  mayHaveMade: ({ record }: SessionState, { create }: Acquire, holder: string): boolean => {
    if (!record || !create || create.size === 0) return false;
    return record.grant?.holder === holder || record.ended.some((ended) => ended.holder === holder);
  },

  /**
   * Rule 23: how often in a row the lock has soon gone to another holder. A holder that asks again before all
   * others gave it back too early.
   */
  passesAfter: (passes: number, isSameHolder: boolean, heldMs: number): number => {
    if (isSameHolder) return Math.max(0, passes - 1);
    return heldMs < soonMs ? Math.min(maxPasses, passes + 1) : 0;
  },

  /** Rule 23: whether a holder gives the lock back by itself when no scope uses it. */
  isPassedOn: (passes: number, turnMs: number): boolean => turnMs > 0 && passes >= minPasses,

  /** Rule 23: how long the holder of such a lock is not asked back. `restMs` is the next waiter's time. */
  turnMsFor: (turnMs: number, waiting: number, restMs: number): number =>
    Math.min(turnMs, roundMs / waiting, restMs * waitShare),

  /** Rule 21: whether the acquire of a knock will not come out of the session's queue any more. */
  mustPutAgain: (
    { request, ageMs }: Pick<Knock, 'request' | 'ageMs'>,
    queue: {
      readonly taken: number;
      readonly isEmpty: boolean;
      readonly lostAt: number;
      readonly openMs: number;
    },
    mono: number,
  ): boolean => {
    if (request < queue.taken) return false; // a late duplicate of a request that its holder has replaced
    const hadTime = ageMs >= unheardMs && queue.openMs >= unheardMs;
    return request === queue.taken || mono - ageMs <= queue.lostAt || (queue.isEmpty && hadTime);
  },

  /**
   * Rule 22, rule 21: whether a holder is still reached where it was, whatever a frame tells that did not
   * come through the partition's queue. Such a frame may be older, and its queue gone.
   */
  keepsQueue: (known: string | undefined): boolean => known !== undefined,
};

export type StoreRules = typeof storeRules;
