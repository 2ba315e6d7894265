/**
 * Packs the messages of one turn into frames, with a part for each partition. Acquires and knocks travel in
 * frames of their own, since the store acknowledges such a frame only when all of it is settled. No frame
 * grows far beyond `limits.frameTargetBytes`. The order is kept. A renewal is in one frame with the cancels
 * and empty releases before it, since its answer shows that the store received them (rule 12).
 */
import { limits } from './limits.js';
import type { Acquire, HolderMessage, Knock, Part, StoreMessage } from './messages.js';

/** Requests stand in order, and a next owner gets them again. All else follows a grant (rule 22). */
export function isRequest(message: HolderMessage | StoreMessage): message is Acquire | Knock {
  return message.kind === 'acquire' || message.kind === 'knock';
}

/** No frame grows far beyond `maxBytes` either. A single message that is larger goes alone. */
export function intoFrames<M extends HolderMessage | StoreMessage>(
  turn: readonly Part<M>[],
  maxBytes = Infinity,
): Part<M>[][] {
  const frames = new Frames<M>(Math.min(limits.frameTargetBytes, maxBytes));
  for (const part of turn) for (const message of part.messages) frames.add(message, part);
  return frames.done;
}

class Frames<M extends HolderMessage | StoreMessage> {
  readonly done: (Part<M> & { readonly messages: M[] })[][] = [];
  /** Of the last frame. */
  private bytes = 0;
  private count = 0;
  private parked: string | undefined;
  private last: M | undefined;
  /** The part that the last message came from. */
  private from: Part<M> | undefined;

  constructor(private readonly targetBytes: number) {}

  add(message: M, part: Part<M>): void {
    const size = sizeOf(message);
    const parks = isRequest(message) ? message.kind : undefined;
    const isLarge = this.bytes + size > this.targetBytes && !isBoundToNext(this.last);
    const isFullOfParts = this.from !== part && this.done.at(-1)?.length === limits.frameParts;
    const isFull = isFullOfParts || this.count >= limits.frameMessages;
    if (this.count === 0 || isLarge || isFull || parks !== this.parked) {
      this.done.push([]);
      this.bytes = 0;
      this.count = 0;
      this.parked = parks;
      this.from = undefined;
    }
    const frame = this.done.at(-1)!;
    if (this.from !== part) frame.push({ ...part, messages: [] });
    this.from = part;
    frame.at(-1)!.messages.push(message);
    this.bytes += size;
    this.count++;
    this.last = message;
  }
}

/** A single message is larger than the broker takes. */
export class FrameTooLargeError extends Error {
  constructor(bytes: number, maxBytes: number) {
    super(`it takes ${bytes} bytes, but RabbitMQ takes ${maxBytes} in one message (max_message_size)`);
  }
}

/**
 * Encodes parts, in one frame where that is possible. It leaves out a message that cannot be encoded or takes
 * more than `maxBytes`, and calls `failed` with it. So a wrong value does not stop the other messages.
 */
export function encodeFrames<M extends HolderMessage | StoreMessage>(
  parts: readonly Part<M>[],
  encode: (parts: readonly Part<M>[]) => Uint8Array,
  failed: (message: M, error: Error, of: Part<M>) => void,
  maxBytes = Infinity,
): Uint8Array[] {
  try {
    const bytes = encode(parts);
    if (bytes.length > maxBytes) throw new FrameTooLargeError(bytes.length, maxBytes);
    return [bytes];
  } catch (error) {
    const halves = halvesOf(parts);
    if (halves) return halves.flatMap((half) => encodeFrames(half, encode, failed, maxBytes));
    const [part] = parts;
    failed(part!.messages[0]!, error as Error, part!);
    return [];
  }
}

/** Undefined when there is one message left. */
function halvesOf<M extends HolderMessage | StoreMessage>(
  parts: readonly Part<M>[],
): readonly (readonly Part<M>[])[] | undefined {
  const middle = parts.length >> 1;
  if (middle > 0) return [parts.slice(0, middle), parts.slice(middle)];
  const [part] = parts;
  const { messages } = part!;
  const half = messages.length >> 1;
  if (half === 0) return undefined;
  const of = (some: readonly M[]): readonly Part<M>[] => [{ ...part!, messages: some }];
  return [of(messages.slice(0, half)), of(messages.slice(half))];
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
