/** The rules of Locked Session, pure: messages, codec, records, and the two state machines. */
export { decodeHolderFrame, decodeStoreFrame, encodeHolderFrame, encodeStoreFrame } from './codec.js';
export { FrameError } from './fields.js';
export { intoFrames } from './frames.js';
export type { HolderRules, QueueLayout } from './holder-desk.js';
export { HolderMachine } from './holder-machine.js';
export type { HeldAttribute, HeldGrant, HolderCounters, HolderEvent } from './holder-outputs.js';
export { limits } from './limits.js';
export {
  noChanges,
  protocolVersion,
  type Acquire,
  type Changes,
  type HolderFrame,
  type HolderMessage,
  type RefusalReason,
  type Revoked,
  type StoreFrame,
  type StoreMessage,
} from './messages.js';
export { compareTokens, compareVersions, sameToken, type Now, type Token, type Version } from './order.js';
export type { StoreCounters, StoreRules } from './partition-desk.js';
export { PartitionMachine } from './partition-machine.js';
export { decodeAttribute, decodeHead, encodeAttribute, encodeHead, type SessionRecord } from './record.js';
export { isAskFor } from './session-queues.js';
export { isAttributeName, isSessionId, partitionHash, partitionOf } from './session-id.js';
export type { RecordWrite, StoreOutputs } from './store-outputs.js';
