/**
 * How the messages of one turn become frames. Acquires and knocks travel in frames of their own, since the store acknowledges such a
 * frame only when all of it is settled; no frame grows far beyond `limits.frameTargetBytes`. Order is kept.
 */
import { limits } from './limits.js';
import type { HolderMessage, StoreMessage } from './messages.js';

export function intoFrames<M extends HolderMessage | StoreMessage>(messages: readonly M[]): M[][] {
  const frames: M[][] = [];
  let frame: M[] = [];
  let bytes = 0;
  let parked: string | undefined;
  for (const message of messages) {
    const size = sizeOf(message);
    const parks = message.kind === 'acquire' || message.kind === 'knock' ? message.kind : undefined;
    const full = bytes + size > limits.frameTargetBytes || frame.length >= limits.frameMessages;
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

/** About how many bytes a message takes: no less than it does in what can grow without much of a bound. */
function sizeOf(message: HolderMessage | StoreMessage): number {
  let bytes = 100;
  const values = 'set' in message ? message.set : message.kind === 'acquire' ? message.create : undefined;
  for (const [name, value] of values ?? []) bytes += sizeOfName(name) + 5 + value.length;
  const names = 'keep' in message ? message.keep : 'delete' in message ? message.delete : [];
  for (const name of names) bytes += sizeOfName(name);
  if (message.kind === 'renewed') bytes += 150 * (message.recalled.length + message.revoked.length);
  return bytes;
}

/** A character of a name takes up to three bytes as UTF-8. */
function sizeOfName(name: string): number {
  return 3 + name.length * 3;
}
