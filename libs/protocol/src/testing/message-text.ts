/** For specs: makes changes of texts, and texts of messages. */
import type { ChangeSet, HolderMessage, StoreMessage } from '../wire/messages.js';

/** Changes with texts as values. */
export function changes(set: Record<string, string> = {}, removed: readonly string[] = []): ChangeSet {
  const encoder = new TextEncoder();
  const values = Object.entries(set).map(([name, text]) => [name, encoder.encode(text)] as const);
  return { set: new Map(values), removed };
}

export function asTexts(values: Iterable<readonly [string, Uint8Array]>): Record<string, string> {
  const decoder = new TextDecoder();
  return Object.fromEntries([...values].map(([name, bytes]) => [name, decoder.decode(bytes)]));
}

/**
 * A message in one line, for example `grant s #1 1.1 {cart=2} contended`. Empty and usual fields are left
 * out.
 */
export function asText(message: HolderMessage | StoreMessage): string {
  return [
    message.kind,
    ...shownSubject(message),
    ...shownAnswer(message),
    ...shownValues(message),
    ...shownRest(message),
  ].join(' ');
}

/** The session, and the request, grant or change in it that the message is about. */
function shownSubject(message: HolderMessage | StoreMessage): string[] {
  const parts: string[] = [];
  if ('session' in message) parts.push(message.session);
  if ('request' in message && message.request !== undefined) parts.push(`#${message.request}`);
  if ('token' in message && message.token) parts.push(message.token.join('.'));
  if ('seq' in message && message.seq !== undefined && !(message.kind === 'grant' && message.seq === 0)) {
    parts.push(`seq ${message.seq}`);
  }
  return parts;
}

function shownAnswer(message: HolderMessage | StoreMessage): string[] {
  const parts: string[] = [];
  if ('n' in message) parts.push(String(message.n));
  if ('why' in message) parts.push(message.why);
  if ('appliedThrough' in message) parts.push(`applied ${message.appliedThrough}`);
  if ('known' in message && message.known) parts.push(`knows ${message.known.join('.')}`);
  return parts;
}

function shownValues(message: HolderMessage | StoreMessage): string[] {
  const made = 'create' in message ? message.create : undefined;
  const set = 'set' in message ? message.set : made;
  if (!set || set.size === 0) return [];
  const values = Object.entries(asTexts(set)).map(([name, text]) => `${name}=${text}`);
  return [`{${values.join(' ')}}`];
}

function shownRest(message: HolderMessage | StoreMessage): string[] {
  const parts: string[] = [];
  if ('keep' in message && message.keep.length > 0) parts.push(`keep ${message.keep.join(' ')}`);
  if ('removed' in message && message.removed.length > 0) parts.push(`delete ${message.removed.join(' ')}`);
  if ('contended' in message && message.contended) parts.push('contended');
  if ('untilIdle' in message && message.untilIdle) parts.push('until idle');
  if ('recalled' in message)
    for (const [id, token] of message.recalled) parts.push(`recalled ${id} ${token.join('.')}`);
  return parts;
}
