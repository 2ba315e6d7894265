/**
 * Holders that lie to a store, by properties. They may send anything under their own names, between honest
 * holders, time, expiry, lost queues and takeovers. The checker (testing/hostile-checker.ts) must find no
 * fault.
 */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { limits } from '../wire/limits.js';
import type { HolderMessage } from '../wire/messages.js';
import { sameToken, type Token } from '../wire/order.js';
import { testParameters } from './pair.js';
import { changes } from './message-text.js';
import { partitionOf } from '../wire/session-id.js';
import { HostilePeers, type StoreCanary } from './hostile-peers.js';

// Properties take longer on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const rules = {
  ...testParameters,
  ...{ partitions: 2, recallTimeoutMs: 2_000, ttlMs: 20_000, tombstoneMs: 40_000, destroyedNoticeMs: 10_000 },
  ...{ waitersPerSession: 2, waitersPerPartition: 3 },
};
const names = Array.from({ length: 40 }, (_, i) => `s${i}`);
const ofPartition = (partition: number) => names.filter((name) => partitionOf(name, 2) === partition);
const sessions = ofPartition(0).slice(0, 2);
const elsewhere = ofPartition(1)[0]!;
const liars = ['liar', 'thief'];
const honest = ['anna', 'bert'];

// What may be sent or happen. Tokens, seqs and requests are chosen at that time. So most of them are near the
// true ones.

const pick = <T>(...of: T[]) => fc.constantFrom(...of);
const session = fc.oneof(
  { weight: 9, arbitrary: pick(...sessions) },
  { weight: 1, arbitrary: pick(elsewhere) },
);
const lie = fc.record({
  by: pick('liar', 'thief', 'whoever holds it'),
  queue: pick('1', '2', 'shared', 'nowhere'),
  kind: pick<HolderMessage['kind']>(
    ...([
      'acquire',
      'acquire',
      'acquire',
      'cancel',
      'commit',
      'commit',
      'commit',
      'release',
      'destroy',
    ] as const),
    ...(['renew', 'leave', 'knock'] as const),
  ),
  session,
  token: pick<'current' | 'of another' | 'last' | 'next' | 'first' | 'huge'>(
    'current',
    'current',
    'of another',
    'last',
    'next',
    'first',
    'huge',
  ),
  seq: pick<'next' | 'same' | number>('next', 'next', 'same', 0, 1, 2, 7, limits.count),
  request: pick<'new' | 'same' | 'of the grant' | number>(
    'new',
    'new',
    'same',
    'of the grant',
    0,
    1,
    limits.count,
  ),
  waitMs: pick(0, 1, 3_000, 600_000),
  data: pick({}, { a: 'lie' }, { a: 'lie', b: 'more' }),
  removed: pick([], ['a'], ['a', 'a', 'c']),
  create: fc.boolean(),
  known: pick<'none' | 'now' | 'future'>('none', 'now', 'future'),
  ageMs: pick(0, 40_000, limits.count),
});
type Lie = Omit<typeof lie extends fc.Arbitrary<infer L> ? L : never, 'by'> & { readonly by: string };
const deed = fc.record({
  by: pick(...honest),
  does: pick('want', 'want', 'want', 'commit', 'commit', 'release', 'give up', 'destroy'),
  session: pick(...sessions),
  waitMs: pick(500, 5_000, 60_000),
});
type Deed = typeof deed extends fc.Arbitrary<infer D> ? D : never;
const event = fc.oneof(
  {
    weight: 4,
    arbitrary: pick(500, 500, 1_000, 5_000, 12_000, 40_000).map((ms) => ({ kind: 'pass', ms }) as const),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: pick('unreachable' as const), queue: pick('liar.1', 'thief.2', 'shared') }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: pick('take over' as const, 'scan' as const, 'evict' as const, 'stay' as const),
    }),
  },
);
const step = fc.oneof(
  { weight: 8, arbitrary: lie.map((one) => ({ lie: one })) },
  { weight: 4, arbitrary: deed.map((one) => ({ deed: one })) },
  { weight: 3, arbitrary: event.map((one) => ({ event: one })) },
);

class Play {
  readonly siege: HostilePeers;
  /** The last request of each liar. */
  private readonly requests = new Map(liars.map((name) => [name, 0]));
  private marks = 0;

  constructor(canary?: StoreCanary) {
    this.siege = new HostilePeers(rules, canary);
    for (const name of honest) this.siege.join(name);
  }

  run(one: typeof step extends fc.Arbitrary<infer S> ? S : never): void {
    if ('lie' in one) this.tell(one.lie);
    else if ('deed' in one) this.act(one.deed);
    else if (one.event.kind === 'pass') this.siege.pass(one.event.ms);
    else if (one.event.kind === 'unreachable') this.siege.unreachable(one.event.queue);
    else if (one.event.kind === 'take over') this.siege.takeOver();
    else if (one.event.kind === 'scan') this.siege.scan();
    else if (one.event.kind === 'stay') this.stay();
    else this.siege.evict();
  }

  /** The liars live, and give nothing back for longer than they may. */
  private stay(): void {
    for (const liar of liars) this.siege.say(liar, `${liar}.1`, { kind: 'renew', n: 1 });
    this.siege.pass(rules.recallTimeoutMs + 500);
  }

  private act({ by, does, session, waitMs }: Deed): void {
    const holder = this.siege.honest.get(by)!;
    const [held = session] = holder.held.keys();
    const id = does === 'want' || does === 'give up' ? session : held;
    const mark = { [`${by}${this.marks % 3}`]: String(++this.marks) };
    if (does === 'want') holder.want(id, waitMs, mark);
    else if (does === 'commit') holder.commit(id, mark, ['a']);
    else if (does === 'release') holder.release(id, mark);
    else if (does === 'destroy') holder.destroy(id);
    else holder.giveUp(id);
    this.siege.settle();
  }

  private tell(lie: Lie): void {
    const holder = this.siege.row(lie.session)?.head.grant?.holder;
    const by = lie.by !== 'whoever holds it' ? lie.by : holder && liars.includes(holder) ? holder : 'liar';
    const one = { ...lie, by };
    const queue = one.queue.length === 1 ? `${one.by}.${one.queue}` : one.queue;
    const message = this.message(one);
    if (message.kind === 'acquire' && lie.queue === 'shared') this.siege.ask(one.by, queue, message);
    else this.siege.say(one.by, queue, message);
  }

  private message(one: Lie): HolderMessage {
    const { kind, session: id, waitMs } = one;
    const head = { session: id, token: this.token(one), seq: this.seq(one) };
    const set = changes(one.data, one.removed);
    switch (kind) {
      case 'acquire': {
        const create = one.create ? set.set : undefined;
        const version = this.siege.row(id)?.head.version ?? [1, 1, 1];
        const known = { none: undefined, now: version, future: [version[0] + 1, 1, limits.count] as const };
        const more = { known: known[one.known], create };
        return { kind, session: id, request: this.request(one), mode: 'exclusive', waitMs, ...more };
      }
      case 'cancel':
        return { kind, session: id, request: this.request(one) };
      case 'knock':
        return { kind, session: id, request: this.request(one), waitMs, ageMs: one.ageMs };
      case 'destroy':
        return { kind, ...head };
      case 'commit':
      case 'release':
        return { kind, ...head, ...set };
      case 'leave':
        return { kind };
      case 'renew': {
        const touches = [...sessions, elsewhere].map((session) => [session, one.ageMs] as const);
        const reclaim = [...sessions, elsewhere].flatMap((session) => {
          const tokens = [this.token({ ...one, session, token: 'current' }), this.token({ ...one, session })];
          return tokens.map((token) => [session, token, 0] as const);
        });
        return { kind, n: one.waitMs, touches, reclaim };
      }
    }
  }

  private token({ session: id, token: which }: Lie): Token {
    const [epoch, n] = this.siege.row(id)?.head.grant?.token ?? [this.siege.store.epoch, 1];
    const other = sessions.find((another) => another !== id && this.siege.row(another)?.head.grant);
    const tokens: Record<Lie['token'], Token> = {
      current: [epoch, n],
      'of another': (other ? this.siege.row(other)?.head.grant?.token : undefined) ?? [epoch, n],
      last: this.siege.row(id)?.head.ended.at(-1)?.token ?? [epoch, Math.max(0, n - 1)],
      next: [epoch, n + 1],
      first: [1, 1],
      huge: [limits.count, limits.count],
    };
    return tokens[which];
  }

  private seq({ session: id, seq }: Lie): number {
    const last = this.siege.row(id)?.head.grant?.seq ?? 0;
    return seq === 'next' ? last + 1 : seq === 'same' ? last : seq;
  }

  private request({ by, session: id, request }: Lie): number {
    const last = this.requests.get(by)!;
    if (request === 'new') this.requests.set(by, last + 1);
    const granted = this.siege.row(id)?.head.grant?.request ?? last;
    return request === 'new'
      ? last + 1
      : request === 'same'
        ? last
        : request === 'of the grant'
          ? granted
          : request;
  }
}

/** Days of lies. Returns the checker's complaint, shrunk unless there is a canary, and what happened. */
function besiege(numRuns: number, canary?: StoreCanary) {
  const happened = { ...new HostilePeers(rules).store.counters }; // nothing yet
  const days = fc.property(fc.array(step, { minLength: 30, maxLength: 80 }), (steps) => {
    const play = new Play(canary);
    for (const one of steps) play.run(one);
    const { siege } = play;
    // The liars fall silent, and each honest holder is answered.
    for (const id of sessions) {
      for (const holder of siege.honest.values()) holder.want(id, 120_000, {});
      siege.settle();
    }
    siege.pass(60_000);
    for (const { name, answers } of siege.honest.values()) {
      for (const id of sessions) if (!answers.has(id)) throw new Error(`${name} waits for ${id} for ever`);
    }
    siege.evict();
    for (const { counters } of siege.stores)
      for (const key of keysOf(happened)) happened[key] += counters[key];
  });
  const found = fc.check(days, canary ? { numRuns, endOnFailure: true, seed: 1 } : { numRuns });
  return {
    happened,
    complaint: found.errorInstance instanceof Error ? String(found.errorInstance) : 'none',
    report: () => fc.defaultReportMessage(found),
  };
}

const keysOf = <T extends object>(of: T) => Object.keys(of) as (keyof T)[];

/** Stores with a rule switched off. The checker must notice. */
const canaries: Record<string, { canary: StoreCanary; complaint: RegExp }> = {
  'takes a token from anybody': {
    canary: {
      rules: {
        currentGrant: ({ grant }, { token }) =>
          grant && sameToken(grant.token, token) && !grant.revoked ? grant : undefined,
      },
    },
    complaint: /: (commit|release|destroy) makes|loses .* by|is not committed/,
  },
  'takes any token from the holder': {
    canary: {
      rules: {
        currentGrant: ({ grant }, _, holder) =>
          grant?.holder === holder && !grant.revoked ? grant : undefined,
      },
    },
    complaint: /: (commit|release|destroy) makes|is not committed/,
  },
  'lets a revoked holder go on': {
    canary: {
      rules: {
        currentGrant: ({ grant }, { token }, holder) =>
          grant?.holder === holder && sameToken(grant.token, token) ? grant : undefined,
      },
    },
    complaint: /: (commit|release|destroy) makes/,
  },
  'revokes without patience': {
    canary: { rules: { revocationReason: () => 'recall-timeout' } },
    complaint: /loses|lost|any more at the store/,
  },
  'brings destroyed sessions back': {
    canary: { rules: { isDestroyed: () => false } },
    complaint: /is destroyed, and granted/,
  },
  'lets everybody wait': {
    canary: { parameters: { waitersPerPartition: 99 } },
    complaint: /wait$/,
  },
  'remembers every grant': {
    canary: { parameters: { endedGrants: 99 } },
    complaint: /ended grants/,
  },
};

describe('holders that lie', () => {
  it('change, get and keep only their own, and honest holders do not notice', () => {
    const { happened, complaint, report } = besiege(250);
    expect(complaint, `${report()}`).toBe('none');
    expect(Math.min(...Object.values(happened))).toBeGreaterThan(5); // else the lies reach too little
  });

  it("may be granted and revoked in one step, when the next one's lease is over and another waits", () => {
    const peers = new HostilePeers(rules);
    const anna = peers.join('anna');
    const [id] = sessions as [string];
    const acquire = { kind: 'acquire', session: id, request: 1, mode: 'exclusive' } as const;
    peers.say('liar', 'liar.1', { ...acquire, create: new Map(), waitMs: 1 });
    peers.pass(rules.leaseMs + 500);
    peers.say('thief', 'thief.1', { ...acquire, waitMs: 1 });
    peers.say('liar', 'liar.1', { ...acquire, request: 2, waitMs: 60_000 });
    anna.want(id, 60_000, {});
    peers.settle();
    peers.say('thief', 'thief.1', { kind: 'leave' });
    expect(anna.held.has(id)).toBe(true);
    expect(peers.row(id)!.head.ended.map(({ holder }) => holder)).toEqual(['liar', 'thief', 'liar']);
  });

  it.each(Object.entries(canaries))('are noticed when the store %s', (_what, { canary, complaint }) => {
    expect(besiege(2_000, canary).complaint).toMatch(complaint);
  });
});
