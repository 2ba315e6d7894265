/**
 * Packs the messages of one turn into frames. Acquires and knocks travel in frames of their own, since the
 * store acknowledges such a frame only when all of it is settled. No frame grows far beyond
 * `limits.frameTargetBytes`. The order is kept. A renewal is in one frame with the cancels and empty releases
 * before it, since its answer shows that the store received them (rule 12).
 */
import { limits } from './limits.js';
import type { HolderMessage, StoreMessage } from './messages.js';

/** No frame grows far beyond `maxBytes` either. A single message that is larger goes alone. */
export function intoFrames<M extends HolderMessage | StoreMessage>(
  messages: readonly M[],
  maxBytes = Infinity,
): M[][] {
  const targetBytes = Math.min(limits.frameTargetBytes, maxBytes);
  const frames: M[][] = [];
  let frame: M[] = [];
  let bytes = 0;
  let parked: string | undefined;
  for (const message of messages) {
    const size = sizeOf(message);
    const parks = message.kind === 'acquire' || message.kind === 'knock' ? message.kind : undefined;
    const isLarge = bytes + size > targetBytes && !isBoundToNext(frame.at(-1));
    const full = isLarge || frame.length >= limits.frameMessages;
    if (frame.length === 0 || full || parks !== parked) {
      frames.push((frame = []));
      bytes = 0;
      parked = parks;
    }
    frame.push(message);
    bytes += size;
  }
  return frames;
}

/** A single message is larger than the broker takes. */
export class FrameTooLargeError extends Error {
  constructor(bytes: number, maxBytes: number) {
    super(`it takes ${bytes} bytes, but RabbitMQ takes ${maxBytes} in one message (max_message_size)`);
  }
}

/**
 * Encodes messages, in one frame where that is possible. It leaves out a message that cannot be encoded or
 * takes more than `maxBytes`, and calls `failed` with it. So a wrong value does not stop the other messages.
 */
export function encodeFrames<M extends HolderMessage | StoreMessage>(
  messages: readonly M[],
  encode: (messages: readonly M[]) => Uint8Array,
  failed: (message: M, error: Error) => void,
  maxBytes = Infinity,
): Uint8Array[] {
  try {
    const bytes = encode(messages);
    if (bytes.length > maxBytes) throw new FrameTooLargeError(bytes.length, maxBytes);
    return [bytes];
  } catch (error) {
    const half = messages.length >> 1;
    if (half > 0)
      return [messages.slice(0, half), messages.slice(half)].flatMap((part) =>
        encodeFrames(part, encode, failed, maxBytes),
      );
    failed(messages[0]!, error as Error);
    return [];
  }
}

/** A message without an answer of its own. It shares the frame of the renewal behind it. */
function isBoundToNext(message: HolderMessage | StoreMessage | undefined): boolean {
  return message?.kind === 'cancel' || (message?.kind === 'release' && message.seq === 0);
}

/** An estimate of a message's bytes. It is never too low for the parts that can grow large. */
function sizeOf(message: HolderMessage | StoreMessage): number {
  let bytes = 100;
  for (const [name, value] of valuesOf(message)) bytes += sizeOfName(name) + 5 + value.length;
  for (const name of namesOf(message)) bytes += sizeOfName(name);
  for (const list of listsOf(message)) bytes += 150 * (list?.length ?? 0);
  return bytes;
}

function valuesOf(message: HolderMessage | StoreMessage): Iterable<readonly [string, Uint8Array]> {
  if ('set' in message) return message.set;
  return (message.kind === 'acquire' && message.create) || [];
}

function namesOf(message: HolderMessage | StoreMessage): readonly string[] {
  if ('keep' in message) return message.keep;
  return 'removed' in message ? message.removed : [];
}

/** Lists of sessions. */
function listsOf(message: HolderMessage | StoreMessage): readonly (readonly unknown[] | undefined)[] {
  if (message.kind === 'renewed') return [message.recalled, message.revoked, message.valid];
  return message.kind === 'renew' ? [message.reclaim, message.touches] : [];
}

/** A character of a name takes up to three bytes as UTF-8. */
function sizeOfName(name: string): number {
  return 3 + name.length * 3;
}
