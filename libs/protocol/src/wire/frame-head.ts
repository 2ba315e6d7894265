/**
 * The head of a frame. It is in the same place in each protocol version, for ever. So a program can answer a
 * frame of a version that it does not know. A frame is a list of fewer than 16 parts. It begins with these:
 *
 *     from a holder:   version, 'h', partition, holder, reply queue
 *     from a store:    version, 's', partition
 *
 * The version is one byte, below 128. What follows the head may be anything. A frame may have messages for
 * several partitions. The head names the first of them.
 */
import { Unpackr } from 'msgpackr';
import * as field from './fields.js';
import { FrameError } from './fields.js';
import { protocolVersion } from './messages.js';
import { endOfPlain } from './msgpack.js';

/** The version that a peer speaks, and where it gets its answer. */
export interface OtherVersion {
  readonly version: number;
  readonly partition: number;
  /** Only a holder has one. */
  readonly holder?: string;
  readonly queue?: string;
}

/** A frame of another protocol version. */
export class OtherVersionError extends FrameError {
  override name = 'OtherVersionError';
  constructor(readonly frame: OtherVersion) {
    super(told(frame.version));
  }
}

const parts = { h: 5, s: 3 } as const;
/** No head is longer than this, in bytes. */
const longest = 2_048;
const unpackr = new Unpackr({ useRecords: false });

/**
 * Throws an `OtherVersionError` when the bytes begin with the head of another version. Throws a `FrameError`
 * when they name another version and have no such head.
 */
export function checkVersion(bytes: Uint8Array, direction: 'h' | 's'): void {
  const [list = 0, version = 0xff] = bytes;
  if (list < 0x90 || list > 0x9f || version > 0x7f || version === protocolVersion) return;
  let frame: OtherVersion;
  try {
    frame = readHead(bytes, direction);
  } catch (error) {
    throw new FrameError(told(version), { cause: error });
  }
  throw new OtherVersionError(frame);
}

function readHead(bytes: Uint8Array, direction: 'h' | 's'): OtherVersion {
  const count = parts[direction];
  if ((bytes[0]! & 0x0f) < count) throw new FrameError('too few parts');
  const end = Math.min(endOfPlain(bytes, 1, count), longest);
  const head = unpackr.unpack(Uint8Array.of(0x90 + count, ...bytes.subarray(1, end))) as unknown[];
  if (head[1] !== direction) throw new FrameError('a frame for the other side');
  const [version, partition] = [field.count.read(head[0]), field.count.read(head[2])];
  if (direction === 's') return { version, partition };
  return { version, partition, holder: field.id.read(head[3]), queue: field.queue.read(head[4]) };
}

function told(version: number): string {
  return `protocol version ${version}: this program speaks ${protocolVersion} alone`;
}
