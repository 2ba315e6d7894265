/** What a session's id and an attribute's name may look like, and which partition a session belongs to. */
import { limits } from './limits.js';

/** The version of `partitionOf`: recorded in the repository, since another hash would give a session two owners. */
export const partitionHash = 1;

/**
 * The partition of a session, 0 to `partitions` - 1: FNV-1a over the id's characters, mixed by MurmurHash3's finalizer so
 * that its low bits depend on every character.
 */
export function partitionOf(session: string, partitions: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < session.length; i++) hash = Math.imul(hash ^ session.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % partitions;
}

/** Visible ASCII, 1 to 128 characters: safe in queue names, keys and logs. */
export function isSessionId(id: unknown): id is string {
  return typeof id === 'string' && id.length <= limits.idChars && /^[\x21-\x7e]+$/.test(id);
}

const reservedNames = new Set(['__proto__', 'constructor', 'prototype', '*']);

/** 1 to 128 characters, well-formed, no control characters, nothing that means something to JavaScript or to locks. */
export function isAttributeName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name.length > 0 &&
    name.length <= limits.nameChars &&
    // oxlint-disable-next-line no-control-regex
    !/[\u0000-\u001f\u007f\p{Surrogate}]/u.test(name) &&
    !reservedNames.has(name)
  );
}
