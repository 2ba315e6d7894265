/** The rules of Locked Session, pure: messages, codec, records, and the two state machines. */
export { decodeHolderFrame, decodeStoreFrame, encodeHolderFrame, encodeStoreFrame } from './wire/codec.js';
export { FrameError } from './wire/fields.js';
export { OtherVersionError, type OtherVersion } from './wire/frame-head.js';
export { encodeFrames, FrameTooLargeError, intoFrames, isRequest } from './wire/frames.js';
export type { HolderParameters, QueueLayout } from './holder/parameters.js';
export { holderRules, type HolderRules } from './holder/rules.js';
export { HolderMachine } from './holder/holder-machine.js';
export type { HolderTurn } from './holder/routes.js';
export type { HeldAttribute, HeldGrant, HolderCounters, HolderEvent } from './holder/outputs.js';
export { limits } from './wire/limits.js';
export {
  noChanges,
  protocolVersion,
  type Acquire,
  type ChangeSet,
  type HolderFrame,
  type HolderMessage,
  type HolderPart,
  type Part,
  type RefusalReason,
  type Revoked,
  type StoreFrame,
  type StoreMessage,
  type StorePart,
} from './wire/messages.js';
export {
  compareTokens,
  compareVersions,
  sameToken,
  type Now,
  type Token,
  type Version,
} from './wire/order.js';
export type { StoreParameters } from './store/parameters.js';
export type { StoreCounters } from './store/partition-state.js';
export { PartitionMachine } from './store/partition-machine.js';
export {
  attributeRowBytes,
  decodeAttribute,
  decodeHead,
  encodeAttribute,
  encodeHead,
  type RecordWrite,
  type SessionRecord,
} from './store/record.js';
export { storeRules, type ClaimedEpochs, type StoreRules } from './store/rules.js';
export { isAcquireOf } from './store/session-queues.js';
export { isAttributeName, isSessionId, partitionHash, partitionOf } from './wire/session-id.js';
export type { StoreOutputs } from './store/outputs.js';
