/** How large messages are taken to be, and what a frame holds of them. */
import { describe, expect, it } from 'vitest';
import { encodeFrames, intoFrames, isRequest } from './frames.js';
import { limits } from './limits.js';
import type { HolderMessage, StoreMessage } from './messages.js';
import type { Token } from './order.js';

type Message = HolderMessage | StoreMessage;

const framesOf = (messages: readonly Message[], maxBytes?: number) =>
  intoFrames([{ partition: 0, epoch: 1, messages }], maxBytes).map((frame) =>
    frame.flatMap((part) => part.messages.map(({ kind }) => kind)),
  );
/** Two of them are in one frame of twice this size, and not in a smaller one. */
function sizeOf(message: Message): number {
  const fits = (bytes: number) => framesOf([message, message], 2 * bytes).length === 1;
  let size = 0;
  while (!fits(size)) size++;
  return size;
}

const token: Token = [1, 1];
const set = new Map([['abcd', new Uint8Array(30)]]);
const none = new Map<string, Uint8Array>();
const grant = {
  kind: 'grant',
  session: 's',
  request: 1,
  token,
  mode: 'exclusive',
  version: [1, 1, 0],
} as const;
const more = { seq: 0, contended: false } as const;
const acquire = { kind: 'acquire', session: 's', request: 1, mode: 'exclusive', waitMs: 1 } as const;
const commit = { kind: 'commit', session: 's', token, seq: 1 } as const;
const renewed = { kind: 'renewed', n: 1, leaseMs: 1, ttlMs: 1, partitions: 1 } as const;
const locks = (count: number) => Array.from({ length: count }, () => ['s', token] as const);
const ages = (count: number) => Array.from({ length: count }, () => ['s', 1] as const);
const reclaim = (count: number) => Array.from({ length: count }, () => ['s', token, 1] as const);

describe('a message is taken to be as large as', () => {
  const name = 3 + 3 * 4;
  it.each<[string, Message, number]>([
    ['its head', { kind: 'leave' }, 0],
    ['the values that it sets', { ...commit, set, removed: [] }, name + 5 + 30],
    ['the names that it removes', { ...commit, set: none, removed: ['abcd', 'efgh'] }, 2 * name],
    ['the values of a grant', { ...grant, ...more, set, keep: [] }, name + 5 + 30],
    ['the names that a grant keeps', { ...grant, ...more, set: none, keep: ['abcd'] }, name],
    ['the values of a new session', { ...acquire, create: set }, name + 5 + 30],
    ['no value, when it makes none', { ...acquire, create: undefined }, 0],
    ['its lists of recalled locks', { ...renewed, recalled: locks(2), revoked: [] }, 300],
    ['its lists of revoked locks', { ...renewed, recalled: [], revoked: locks(1) }, 150],
    ['its lists of valid locks', { ...renewed, recalled: [], revoked: [], valid: locks(3) }, 450],
    ['the locks that it reclaims', { kind: 'renew', n: 1, reclaim: reclaim(2) }, 300],
    ['the uses that it reports', { kind: 'renew', n: 1, touches: ages(1) }, 150],
  ])('%s', (_what, message, bytes) => {
    expect(sizeOf(message)).toBe(100 + bytes);
  });
});

describe('a frame', () => {
  it('rule 21: has knocks alone, as it has acquires alone', () => {
    const knock: HolderMessage = { kind: 'knock', session: 's', request: 1, waitMs: 1, ageMs: 1 };
    const asked: HolderMessage = { ...acquire, known: undefined, create: undefined };
    expect([knock, asked, { kind: 'leave' } as const].map(isRequest)).toEqual([true, true, false]);
    expect(framesOf([{ kind: 'leave' }, knock, knock, asked, { kind: 'leave' }])).toEqual([
      ['leave'],
      ['knock', 'knock'],
      ['acquire'],
      ['leave'],
    ]);
  });

  it('rule 12: has a renewal with the cancel or empty release before it, whatever their size', () => {
    const renew: HolderMessage = { kind: 'renew', n: 1 };
    const release = (seq: number): HolderMessage => ({
      ...{ kind: 'release', session: 's', token, seq, set: none, removed: [] },
    });
    expect(framesOf([{ kind: 'cancel', session: 's', request: 1 }, renew], 100)).toHaveLength(1);
    expect(framesOf([release(0), renew], 100)).toHaveLength(1);
    expect(framesOf([release(1), renew], 100), 'it has an answer of its own').toHaveLength(2);
  });

  it('has as many messages as a frame may, and the next one has the rest', () => {
    const cancel: HolderMessage = { kind: 'cancel', session: 's', request: 1 };
    const frames = framesOf(Array.from({ length: 2 * limits.frameMessages + 2 }, () => cancel));
    expect(frames.map(({ length }) => length)).toEqual([limits.frameMessages, limits.frameMessages, 2]);
  });

  it('is sent up to the largest size that the broker takes', () => {
    const parts = [{ partition: 0, epoch: 1, messages: [{ kind: 'leave' } as const] }];
    const failures: string[] = [];
    const send = (maxBytes: number) =>
      encodeFrames(
        parts,
        () => new Uint8Array(10),
        (_, error) => failures.push(error.message),
        maxBytes,
      ).length;
    expect([send(10), send(9)]).toEqual([1, 0]);
    expect(failures).toEqual(['it takes 10 bytes, but RabbitMQ takes 9 in one message (max_message_size)']);
  });
});
