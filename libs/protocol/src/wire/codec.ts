/**
 * Turns frames into bytes and back. A frame is a MessagePack array. It has a head, which names the first
 * partition, and the list of its parts. A part is the array `[partition, epoch, messages]`. A message is the
 * array `[kind, …fields]`. So names cost nothing on the wire. Attribute values pass through as opaque bytes.
 * The decoder checks each field of a frame against the limits. A frame that breaks one is a `FrameError`. It
 * is never parsed in part.
 */
import { Packr, Unpackr } from 'msgpackr';
import * as field from './fields.js';
import { FrameError, shown, type Field } from './fields.js';
import { checkVersion } from './frame-head.js';
import { limits } from './limits.js';
import { protocolVersion } from './messages.js';
import type { HolderFrame, HolderMessage, Part, StoreFrame, StoreMessage } from './messages.js';
import { checkPlain } from './msgpack.js';

/** A holder's frame before it is encoded. */
export interface SentHolderFrame {
  readonly holder: string;
  readonly queue: string;
  readonly parts: readonly Part<HolderMessage>[];
}

/**
 * Throws a `FrameError` when a field breaks its limits. So a side sends nothing that the other would refuse.
 */
export function encodeHolderFrame({ holder, queue, parts }: SentHolderFrame): Uint8Array {
  const sender = [field.id.write(holder), field.queue.write(queue)];
  return pack([protocolVersion, 'h', firstOf(parts), ...sender, partsToWire(parts, holderMessages)]);
}

/** Throws a `FrameError` when a field breaks its limits. */
export function encodeStoreFrame({ key, parts }: Omit<StoreFrame, 'version'>): Uint8Array {
  const wire = partsToWire(parts, storeMessages);
  return pack([protocolVersion, 's', firstOf(parts), field.queue.write(key), wire]);
}

/**
 * Throws a `FrameError` that names the fault. A frame of another protocol version is an `OtherVersionError`.
 */
export function decodeHolderFrame(bytes: Uint8Array): HolderFrame {
  const [first, sender, replyTo, wire] = unpack(bytes, 'h', 6);
  const [holder, queue] = [field.id.read(sender), field.queue.read(replyTo)];
  const parts = partsFromWire(wire, first, holderKinds) as Part<HolderMessage>[];
  return {
    version: protocolVersion,
    holder,
    queue,
    parts: parts.map(({ partition, epoch, messages }) => ({ partition, epoch, messages, holder, queue })),
  };
}

/**
 * Throws a `FrameError` that names the fault. A frame of another protocol version is an `OtherVersionError`.
 */
export function decodeStoreFrame(bytes: Uint8Array): StoreFrame {
  const [first, key, wire] = unpack(bytes, 's', 5);
  const parts = partsFromWire(wire, first, storeKinds) as Part<StoreMessage>[];
  return { version: protocolVersion, key: field.queue.read(key), parts };
}

// Parts. ----------------------------------------------------------------------------------------------------

/** The partition that the head names. */
function firstOf([first]: readonly Part<HolderMessage | StoreMessage>[]): unknown {
  if (!first) throw new FrameError('a frame without parts');
  return field.count.write(first.partition);
}

function partsToWire<M extends HolderMessage | StoreMessage>(
  parts: readonly Part<M>[],
  table: Table<M>,
): unknown[] {
  return parts.map(({ partition, epoch, messages }) => [
    field.count.write(partition),
    field.count.write(epoch),
    messages.map((message) => toWire(message, table)),
  ]);
}

function partsFromWire(wire: unknown, first: unknown, kinds: Kinds): Part<HolderMessage | StoreMessage>[] {
  const parts = list(wire, limits.frameParts, 'parts');
  if (parts.length === 0) throw new FrameError('a frame without parts');
  let left = limits.frameMessages;
  const read = parts.map((part) => {
    if (!Array.isArray(part) || part.length !== 3) throw new FrameError(`${shown(part)} is no part`);
    const messages = list(part[2], left, 'messages');
    left -= messages.length;
    return {
      partition: field.count.read(part[0]),
      epoch: field.count.read(part[1]),
      messages: messages.map((message) => fromWire(message, kinds) as HolderMessage | StoreMessage),
    };
  });
  if (read[0]?.partition !== first)
    throw new FrameError('the head names another partition than the first part');
  return read;
}

// The table of messages: kind → code and fields, in wire order. New fields go to the end. -------------------

type Row<M> = {
  readonly code: number;
  readonly fields: { readonly [K in Exclude<keyof M, 'kind'>]-?: Field<M[K]> };
};
type Table<M extends { kind: string }> = { readonly [K in M['kind']]: Row<Extract<M, { kind: K }>> };

const holderMessages: Table<HolderMessage> = {
  acquire: {
    code: 1,
    fields: {
      session: field.id,
      request: field.count,
      mode: field.oneOf('exclusive'),
      known: field.optional(field.version),
      create: field.optional(field.values),
      waitMs: field.waitMs,
    },
  },
  cancel: { code: 2, fields: { session: field.id, request: field.count } },
  commit: {
    code: 3,
    fields: {
      session: field.id,
      token: field.token,
      seq: field.count,
      set: field.values,
      removed: field.names,
    },
  },
  release: {
    code: 4,
    fields: {
      session: field.id,
      token: field.token,
      seq: field.count,
      set: field.values,
      removed: field.names,
    },
  },
  destroy: { code: 5, fields: { session: field.id, token: field.token, seq: field.count } },
  renew: {
    code: 6,
    fields: {
      n: field.count,
      reclaim: field.optional(field.reclaimedLocks),
      touches: field.optional(field.sessionAges),
    },
  },
  leave: { code: 7, fields: {} },
  knock: {
    code: 8,
    fields: { session: field.id, request: field.count, waitMs: field.waitMs, ageMs: field.count },
  },
};

const storeMessages: Table<StoreMessage> = {
  grant: {
    code: 1,
    fields: {
      session: field.id,
      request: field.count,
      token: field.token,
      mode: field.oneOf('exclusive'),
      version: field.version,
      seq: field.count,
      set: field.values,
      keep: field.names,
      contended: field.flag,
      untilIdle: field.optional(field.flag),
    },
  },
  recall: { code: 2, fields: { session: field.id, token: field.token } },
  committed: { code: 3, fields: { session: field.id, token: field.token, seq: field.count } },
  released: { code: 4, fields: { session: field.id, token: field.token } },
  renewed: {
    code: 5,
    fields: {
      n: field.count,
      leaseMs: field.count,
      ttlMs: field.count,
      partitions: field.count,
      valid: field.optional(field.sessionTokens),
      recalled: field.sessionTokens,
      revoked: field.sessionTokens,
    },
  },
  revoked: {
    code: 6,
    fields: { session: field.id, token: field.token, why: field.oneOf('lease-over', 'recall-timeout') },
  },
  refused: {
    code: 7,
    fields: {
      session: field.id,
      why: field.oneOf(
        'gap',
        'ended',
        'outcome-unknown',
        'wrong-partition',
        'unknown-session',
        'destroyed',
        'too-many-waiters',
        'too-many-queues',
        'unheard',
        'too-large',
        'unsupported',
      ),
      request: field.optional(field.count),
      token: field.optional(field.token),
      seq: field.optional(field.count),
      appliedThrough: field.optional(field.count),
      detail: field.optional(field.text),
    },
  },
  mismatch: { code: 8, fields: { store: field.count, holder: field.count } },
  disowned: { code: 9, fields: {} },
};

type AnyRow = { readonly code: number; readonly fields: Readonly<Record<string, Field<unknown>>> };
type Kinds = ReadonlyMap<unknown, { kind: string; names: string[]; fields: Field<unknown>[] }>;

const byCode = (table: object): Kinds =>
  new Map(
    Object.entries(table as Record<string, AnyRow>).map(([kind, { code, fields }]) => [
      code,
      { kind, names: Object.keys(fields), fields: Object.values(fields) },
    ]),
  );

const holderKinds = byCode(holderMessages);
const storeKinds = byCode(storeMessages);

function toWire<M extends { kind: string }>(message: M, table: Table<M>): unknown[] {
  const { code, fields } = table[message.kind as M['kind']] as AnyRow;
  const wire: unknown[] = [code];
  const values = message as Record<string, unknown>;
  try {
    for (const name in fields) wire.push(fields[name]!.write(values[name]));
  } catch (error) {
    const of = 'session' in values ? ` of session ${shown(values['session'])}` : '';
    throw new FrameError(`${message.kind}${of}: ${(error as Error).message}`, { cause: error });
  }
  return wire;
}

function fromWire(wire: unknown, kinds: Kinds): unknown {
  if (!Array.isArray(wire)) throw new FrameError('a message is not an array');
  const row = kinds.get(wire[0]);
  if (!row) throw new FrameError(`no message has the code ${shown(wire[0])}`);
  if (wire.length !== row.fields.length + 1) {
    throw new FrameError(`${row.kind} has ${wire.length - 1} fields, not ${row.fields.length}`);
  }
  const message: Record<string, unknown> = { kind: row.kind };
  for (let i = 0; i < row.fields.length; i++) {
    const value = row.fields[i]!.read(wire[i + 1]);
    if (value !== undefined) message[row.names[i]!] = value;
  }
  return message;
}

// Bytes. ----------------------------------------------------------------------------------------------------

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number', copyBuffers: true } as object);

function pack(frame: unknown[]): Uint8Array {
  const bytes = packr.pack(frame);
  if (bytes.length > limits.frameBytes) throw new FrameError(`a frame of ${bytes.length} bytes`);
  return bytes;
}

function unpack(bytes: Uint8Array, direction: 'h' | 's', length: number): unknown[] {
  if (bytes.length > limits.frameBytes) throw new FrameError(`a frame of ${bytes.length} bytes`);
  checkVersion(bytes, direction);
  checkPlain(bytes);
  let frame: unknown;
  try {
    frame = unpackr.unpack(bytes);
  } catch (error) {
    throw new FrameError('not MessagePack, or cut short', { cause: error });
  }
  if (!Array.isArray(frame)) throw new FrameError('not an array');
  if (frame[0] !== protocolVersion) {
    throw new FrameError(`protocol version ${shown(frame[0])}: this program speaks ${protocolVersion} alone`);
  }
  if (frame[1] !== direction) throw new FrameError('a frame for the other side');
  if (frame.length !== length) throw new FrameError(`${frame.length} fields, not ${length}`);
  return frame.slice(2);
}

function list(wire: unknown, max: number, what: string): unknown[] {
  if (!Array.isArray(wire)) throw new FrameError(`${what} are not an array`);
  if (wire.length > max) throw new FrameError(`more than ${max} ${what} in a frame`);
  return wire;
}
