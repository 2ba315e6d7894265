/**
 * Every decision of both rules.ts, switched off or turned into its opposite, one at a time: whoever explores
 * must notice. A decision that can be switched off without harm is dead, or no configuration has its case.
 */
import type { HolderRules, StoreRules } from '#protocol';
import type { Rules } from './deployment.js';

const store: { readonly [Name in keyof StoreRules]: StoreRules[Name] } = {
  currentGrant: ({ grant }, change) => {
    if (grant && change.seq > 0) grant.seq = change.seq - 1;
    return grant;
  },
  placeOf: () => 'next',
  wasApplied: () => true,
  ageOf: () => 'new',
  isTimedOut: () => true,
  isListed: () => false,
  isReclaimed: () => true,
  revocationReason: () => 'lease-over',
  hasLapsed: () => true,
  leaseMsAfter: (_sinceClaimMs, _longestLeaseMs, leaseMs) => leaseMs,
  hasPassedByClock: () => false,
  paceOf: () => 'quick',
  mustRepeatEcho: () => false,
  hasPassed: (deadline, _heardThrough, now) => deadline <= now.mono,
  mayBeBlocked: () => false,
  isOutOfUse: () => true,
  isDestroyed: () => false,
  refusalOfDestroyed: () => undefined,
  trustsCopy: () => true,
  isInCopy: () => true,
  isBelievable: () => true,
  judgeShownEpoch: () => 'known',
  mustClaimAbove: () => false,
  isDue: () => false,
  isOverAtGrant: () => false,
  dueAt: (dueAt) => dueAt,
  touchCounts: () => false,
  isUse: () => false,
  mayHaveMade: () => false,
  mustPutAgain: () => false,
  passesAfter: () => 4,
  isPassedOn: () => true,
  turnMsFor: () => Infinity,
  keepsQueue: () => false,
};

const holder: { readonly [Name in keyof HolderRules]: HolderRules[Name] } = {
  deadline: (known) => known,
  isTimedOut: () => true,
  mustAnnounce: () => false,
  isAnswered: () => true,
  isBefore: () => false,
  isTakenBack: () => false,
  leaseRuns: () => true,
  isTrusted: () => true,
  isConfirmed: () => true,
  mayHideMore: () => false,
  believesRevocation: () => false,
  acceptsGrant: (wait) => wait !== undefined,
  isHeard: (sentWith, answered) => sentWith <= answered,
  isAbove: () => false,
  ownerOf: () => 'same',
  agrees: () => true,
  isTouchDue: () => false,
  goesDirect: (_isRequest, key) => key !== undefined,
  isDisowned: () => false,
  isSilent: () => false,
  isTurnOver: () => false,
};

/** The configuration that shows the harm soonest. */
const storeHomes: { readonly [Name in keyof StoreRules]: string } = {
  currentGrant: 'nothing',
  placeOf: 'nothing',
  wasApplied: 'held',
  ageOf: 'leased',
  isTimedOut: 'nothing',
  isListed: 'lost revocation',
  isReclaimed: 'asked back',
  revocationReason: 'nothing',
  hasLapsed: 'nothing',
  leaseMsAfter: 'takeover by a shorter lease',
  hasPassedByClock: 'dead holder',
  paceOf: 'slow broker',
  mustRepeatEcho: 'dead holder',
  hasPassed: 'before recall time-out',
  mayBeBlocked: 'deaf store',
  isOutOfUse: 'before recall time-out',
  isDestroyed: 'destroy',
  refusalOfDestroyed: 'destroy',
  trustsCopy: 'power after a release',
  isInCopy: 'takeover',
  isBelievable: 'lie',
  judgeShownEpoch: 'empty data',
  mustClaimAbove: 'empty data',
  isDue: 'expiring',
  isOverAtGrant: 'expiring and free',
  dueAt: 'expiring and silent',
  touchCounts: 'expiring and in use',
  isUse: 'expiring',
  mayHaveMade: 'new session',
  mustPutAgain: 'lost acquire',
  passesAfter: 'before turns',
  isPassedOn: 'nothing',
  turnMsFor: 'turn and short wait',
  keepsQueue: 'own queue and cut',
};

const holderHomes: { readonly [Name in keyof HolderRules]: string } = {
  deadline: 'short waits',
  isTimedOut: 'nothing',
  mustAnnounce: 'short waits',
  isHeard: 'lost cancel',
  isSilent: 'own queue and paused store',
  mayHideMore: 'long list',
  isAnswered: 'nothing',
  isBefore: 'unsendable',
  isTakenBack: 'after a power failure',
  leaseRuns: 'asked back',
  isTrusted: 'asked back',
  isConfirmed: 'asked back',
  believesRevocation: 'lost answer',
  acceptsGrant: 'late grant and recall',
  isAbove: 'late grant and recall',
  ownerOf: 'late grant',
  agrees: 'other partitions',
  isTouchDue: 'expiring and in use',
  goesDirect: 'own queue and successor',
  isDisowned: 'own queue and successor',
  isTurnOver: 'first turn',
};

export interface Canary {
  readonly rules: Rules;
  /** The configuration that shows the harm soonest. */
  readonly home: string;
}

/** By side and name of the decision. */
export const canaries: ReadonlyMap<string, Canary> = new Map([
  ...Object.entries(store).map(([name, off]): [string, Canary] => [
    `store.${name}`,
    { rules: { store: { [name]: off }, holder: {} }, home: storeHomes[name as keyof StoreRules] },
  ]),
  ...Object.entries(holder).map(([name, off]): [string, Canary] => [
    `holder.${name}`,
    { rules: { store: {}, holder: { [name]: off } }, home: holderHomes[name as keyof HolderRules] },
  ]),
]);
