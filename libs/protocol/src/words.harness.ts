/** For specs: changes made of texts, and messages told as text. */
import type { Changes, HolderMessage, StoreMessage } from './messages.js';

/** Changes with texts as values. */
export function changes(set: Record<string, string> = {}, removed: readonly string[] = []): Changes {
  const encoder = new TextEncoder();
  const values = Object.entries(set).map(([name, text]) => [name, encoder.encode(text)] as const);
  return { set: new Map(values), delete: removed };
}

export function asText(values: Iterable<readonly [string, Uint8Array]>): Record<string, string> {
  const decoder = new TextDecoder();
  return Object.fromEntries([...values].map(([name, bytes]) => [name, decoder.decode(bytes)]));
}

/** A message in one line, for example `grant s #1 1.1 {cart=2} contended`: what is empty or usual is left out. */
export function shown(message: HolderMessage | StoreMessage): string {
  const parts: string[] = [message.kind];
  if ('session' in message) parts.push(message.session);
  if ('request' in message && message.request !== undefined) parts.push(`#${message.request}`);
  if ('token' in message && message.token) parts.push(message.token.join('.'));
  if ('seq' in message && message.seq !== undefined && !(message.kind === 'grant' && message.seq === 0)) {
    parts.push(`seq ${message.seq}`);
  }
  if ('n' in message) parts.push(String(message.n));
  if ('why' in message) parts.push(message.why);
  if ('appliedThrough' in message) parts.push(`applied ${message.appliedThrough}`);
  if ('known' in message && message.known) parts.push(`knows ${message.known.join('.')}`);
  const set = 'set' in message ? message.set : 'create' in message ? message.create : undefined;
  if (set && set.size > 0) {
    const values = Object.entries(asText(set)).map(([name, text]) => `${name}=${text}`);
    parts.push(`{${values.join(' ')}}`);
  }
  if ('keep' in message && message.keep.length > 0) parts.push(`keep ${message.keep.join(' ')}`);
  if ('delete' in message && message.delete.length > 0) parts.push(`delete ${message.delete.join(' ')}`);
  if ('contended' in message && message.contended) parts.push('contended');
  if ('recalled' in message)
    for (const [id, token] of message.recalled) parts.push(`recalled ${id} ${token.join('.')}`);
  return parts.join(' ');
}
