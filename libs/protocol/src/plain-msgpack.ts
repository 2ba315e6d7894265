/**
 * The part of MessagePack that frames are made of: nil, booleans, numbers, text, bytes and lists. Looked at before anything is unpacked, because
 * the library also reads what else it could have written, and that is not bounded by a frame's length: references to a list
 * that is then read a thousand times, text that is read from the same place again and again, a number of a million digits.
 */
import { FrameError } from './fields.js';

/** Behind a token from 0xc0 to 0xdf: so many bytes of a number; or of a length of bytes or text, or of a list; or what no frame has. */
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

/** Throws a `FrameError` unless the bytes are one value of that part, from the first to the last. Takes time as the bytes are long, and no memory. */
export function checkPlain(bytes: Uint8Array): void {
  let at = 0;
  for (let left = 1; left > 0; left--) {
    // No value takes less than a byte: a list that says it is longer than the frame ends here.
    if (left > bytes.length - at) throw cutShort();
    const code = bytes[at++]!;
    if (code < 0x80 || code >= 0xe0) continue;
    if (code >= 0x90 && code < 0xa0) left += code & 0x0f;
    else if (code >= 0xa0 && code < 0xc0) at += code & 0x1f;
    else {
      const token = code < 0xc0 ? undefined : tokens[code - 0xc0];
      if (!token) throw new FrameError('a kind of value that no frame has');
      const [kind, size] = token;
      const behind = kind === plain ? size : lengthAt(bytes, at, size);
      if (kind !== plain) at += size;
      if (kind === list) left += behind;
      else at += behind;
    }
  }
  if (at !== bytes.length) throw cutShort();
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
