/** Warnings that would come with each request. The log has each of them once for each middleware. */
import type { Log } from '#broker';

const given = new WeakMap<object, Set<string>>();

/** `about` is the middleware's settings. Warnings of one text but for its first word are one. */
export function notice(log: Log, about: object, text: string): void {
  const texts = given.get(about) ?? new Set<string>();
  given.set(about, texts);
  const kind = text.replace(/^\S+ \S+ /, '');
  if (texts.has(kind)) return;
  texts.add(kind);
  log.warn(text);
}
