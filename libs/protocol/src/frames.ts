/**
 * How the messages of one turn become frames. Acquires travel in frames of their own, since the store acknowledges such a
 * frame only when all its requests are settled; no frame grows far beyond `limits.frameTargetBytes`. Order is kept.
 */
import { limits } from './limits.js';
import type { HolderMessage, StoreMessage } from './messages.js';

export function intoFrames<M extends HolderMessage | StoreMessage>(messages: readonly M[]): M[][] {
  const frames: M[][] = [];
  let frame: M[] = [];
  let bytes = 0;
  let parks = false;
  for (const message of messages) {
    const size = sizeOf(message);
    const parksToo = message.kind === 'acquire';
    const full = bytes + size > limits.frameTargetBytes || frame.length >= limits.frameMessages;
    if (frame.length === 0 || full || parks !== parksToo) {
      frames.push((frame = []));
      bytes = 0;
      parks = parksToo;
    }
    frame.push(message);
    bytes += size;
  }
  return frames;
}

/** About how many bytes a message takes: exact in what can grow. */
function sizeOf(message: HolderMessage | StoreMessage): number {
  let bytes = 100;
  const values = 'set' in message ? message.set : message.kind === 'acquire' ? message.create : undefined;
  for (const [name, value] of values ?? []) bytes += name.length * 2 + value.length;
  if (message.kind === 'renewed') bytes += 150 * (message.recalled.length + message.revoked.length);
  return bytes;
}
