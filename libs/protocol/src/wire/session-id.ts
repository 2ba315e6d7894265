/** Which ids of sessions and names of attributes are valid, and which partition a session belongs to. */
import { limits } from './limits.js';

/**
 * The version of `partitionOf`. The repository records it, since another hash would give a session two
 * owners.
 */
export const partitionHash = 1;

/**
 * The partition of a session, from 0 to `partitions` - 1. It is FNV-1a over the id's characters.
 * MurmurHash3's finalizer mixes the result, so that its low bits depend on each character.
 */
export function partitionOf(session: string, partitions: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < session.length; i++) hash = Math.imul(hash ^ session.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % partitions;
}

/** An id has 1 to 128 visible ASCII characters. They are safe in queue names, keys and logs. */
export function isSessionId(id: unknown): id is string {
  return typeof id === 'string' && id.length <= limits.idChars && /^[\x21-\x7e]+$/.test(id);
}

const reservedNames = new Set(['__proto__', 'constructor', 'prototype', '*']);

/**
 * A name has 1 to 128 characters. It is well-formed Unicode without control characters, and no name that
 * JavaScript or the locks use.
 */
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
