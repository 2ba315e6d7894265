/**
 * Checks that a frame has only the plain kinds of MessagePack: nil, booleans, numbers, text, bytes and lists.
 * The check comes before the library unpacks anything. The library also reads extensions of its own, and a
 * frame's length does not bound the memory that they take. Examples are a list that is read a thousand times
 * by reference, a text that is read again from the same place, and a number of a million digits.
 */
import { FrameError } from './fields.js';

/**
 * What follows a token from 0xc0 to 0xdf. A `plain` value has that many bytes. A `sized` value or a `list`
 * has its length in that many bytes. No frame has an undefined one.
 */
const plain = 0;
const sized = 1;
const list = 2;
type Token = readonly [kind: typeof plain | typeof sized | typeof list, bytes: number] | undefined;

// prettier-ignore
const tokens: readonly Token[] = [
  [plain, 0], undefined, [plain, 0], [plain, 0], // nil, -, false, true
  [sized, 1], [sized, 2], [sized, 4], undefined, undefined, undefined, // bytes; extensions
  [plain, 4], [plain, 8], // floating point
  [plain, 1], [plain, 2], [plain, 4], [plain, 8], [plain, 1], [plain, 2], [plain, 4], [plain, 8], // integers
  undefined, undefined, undefined, undefined, undefined, // extensions
  [sized, 1], [sized, 2], [sized, 4], // text
  [list, 2], [list, 4], undefined, undefined, // lists; maps
];

/**
 * Throws a `FrameError` unless the bytes are exactly one plain value. Takes time in proportion to the bytes,
 * and no memory.
 */
export function checkPlain(bytes: Uint8Array): void {
  if (endOfPlain(bytes, 0, 1) !== bytes.length) throw cutShort();
}

/** Where the `count` plain values that begin at `from` end. Throws a `FrameError` when there are fewer. */
export function endOfPlain(bytes: Uint8Array, from: number, count: number): number {
  let at = from;
  for (let left = count; left > 0; left--) {
    // Each value takes a byte at least. So a list that claims to be longer than the frame ends here.
    if (left > bytes.length - at) throw cutShort();
    const code = bytes[at++]!;
    if (code < 0x80 || code >= 0xe0) continue;
    if (code >= 0x90 && code < 0xa0) left += code & 0x0f;
    else if (code >= 0xa0 && code < 0xc0) at += code & 0x1f;
    else {
      const token = tokens[code - 0xc0];
      if (!token) throw new FrameError('a kind of value that no frame has');
      const [kind, size] = token;
      const behind = kind === plain ? size : lengthAt(bytes, at, size);
      if (kind !== plain) at += size;
      if (kind === list) left += behind;
      else at += behind;
    }
  }
  if (at > bytes.length) throw cutShort();
  return at;
}

/** Big-endian. */
function lengthAt(bytes: Uint8Array, at: number, size: number): number {
  if (at + size > bytes.length) throw cutShort();
  let length = 0;
  for (let i = at; i < at + size; i++) length = length * 256 + bytes[i]!;
  return length;
}

function cutShort(): FrameError {
  return new FrameError('not MessagePack, or cut short');
}
