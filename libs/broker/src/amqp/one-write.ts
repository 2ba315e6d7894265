/**
 * One system call for all that a turn of the event loop sends. amqplib writes each method and each message on
 * its own, and each write to an idle socket is a system call. A store that answers several partitions would
 * make two for each of them.
 */
import type { Writable } from 'node:stream';

/** From now on the stream passes on all that is written to it in one turn at once, when the turn ends. */
export function writeOnceATurn(stream: Writable): void {
  const write = stream.write.bind(stream) as (...of: unknown[]) => boolean;
  let isCorked = false;
  const uncork = () => {
    isCorked = false;
    stream.uncork();
  };
  const corked = (...of: unknown[]): boolean => {
    if (!isCorked) {
      isCorked = true;
      stream.cork();
      process.nextTick(uncork);
    }
    return write(...of);
  };
  stream.write = corked as typeof stream.write;
}
