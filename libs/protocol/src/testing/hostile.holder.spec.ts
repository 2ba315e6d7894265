/**
 * A store that lies to a holder, or has lost its data, by properties. It may send anything in valid frames.
 * The holder never throws. Its events make sense. It sends no change under a lock that was never granted. Its
 * memory has bounds.
 */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { AppServer, confirmed } from './app-server.js';
import { decodeStoreFrame, encodeHolderFrame, encodeStoreFrame } from '../wire/codec.js';
import { FrameError } from '../wire/fields.js';
import type { HeldGrant, HolderEvent } from '../holder/outputs.js';
import { HolderMachine } from '../holder/holder-machine.js';
import { limits } from '../wire/limits.js';
import type {
  HolderMessage,
  RefusalReason,
  RevocationReason,
  StorePart,
  StoreMessage,
} from '../wire/messages.js';
import type { Token } from '../wire/order.js';
import { testParameters } from './pair.js';
import { changes } from './message-text.js';

// Properties take longer on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const rules = { ...testParameters, partitions: 4, writeBackMs: 0 };
const sessions = ['s0', 's1', 's2'];
const huge = Number.MAX_SAFE_INTEGER;
/** The highest number that a frame may bring. */
const most = limits.count;

const pick = <T>(...of: T[]) => fc.constantFrom(...of);
const few = <T>(of: fc.Arbitrary<T>) => fc.array(of, { maxLength: 4 });
const kind = <K extends StoreMessage['kind']>(of: K) => fc.constant(of);
const session = pick(...sessions, 'unknown');
const token: fc.Arbitrary<Token> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(pick(1, 2), fc.integer({ min: 0, max: 8 })) },
  { weight: 1, arbitrary: pick<Token>([0, 0], [most, most], [huge, huge]) },
);
const seq = fc.oneof({ weight: 5, arbitrary: fc.nat(4) }, { weight: 1, arbitrary: pick(most, most, huge) });
const request = fc.oneof({ weight: 9, arbitrary: fc.nat(8) }, { weight: 1, arbitrary: pick(most, huge) });
const named = few(fc.tuple(session, token));
const set = few(fc.tuple(pick('a', 'b', 'c'), fc.uint8Array({ maxLength: 3 }))).map((all) => new Map(all));
const why = pick<RefusalReason>(
  ...(['gap', 'ended', 'outcome-unknown', 'wrong-partition', 'unknown-session', 'destroyed'] as const),
  ...(['too-many-waiters', 'too-large', 'unsupported'] as const),
);
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const version = fc.tuple(pick(1, most), fc.nat(4), seq);
const periodMs = pick(0, 1, 5_000, most);
const mode = pick('exclusive' as const);
const message: fc.Arbitrary<StoreMessage> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      ...{ kind: kind('grant'), session, request, token, mode, version, seq, set, keep: few(pick('a', 'b')) },
      contended: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: kind('recall'), session, token }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('committed'), session, token, seq }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('released'), session, token }) },
  {
    weight: 4,
    arbitrary: fc.record({
      ...{
        kind: kind('renewed'),
        n: fc.nat(30),
        leaseMs: periodMs,
        ttlMs: periodMs,
        partitions: pick(4, 5, 0),
      },
      ...{ valid: maybe(named), recalled: named, revoked: named },
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: kind('revoked'),
      session,
      token,
      why: pick<RevocationReason>('lease-over', 'recall-timeout'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      ...{ kind: kind('refused'), session, why, request: maybe(request), token: maybe(token) },
      ...{ seq: maybe(seq), appliedThrough: maybe(seq) },
    }),
  },
);
const frame = fc.record({
  partition: fc.oneof({ weight: 9, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: pick(4, 5, huge) }),
  epoch: fc.oneof({ weight: 30, arbitrary: pick(1, 1, 2) }, { weight: 1, arbitrary: pick(0, 3, huge) }),
  messages: fc.array(message, { maxLength: 3 }),
  /** The grants answer the holder's requests, and renewals are answered as asked. */
  plausible: fc.boolean(),
});
type Frame = typeof frame extends fc.Arbitrary<infer F> ? F : never;
const deed = fc.record({
  does: pick('want', 'want', 'give up', 'commit', 'commit', 'release', 'destroy', 'prove', 'trusts', 'use'),
  session: pick(...sessions),
});
type Deed = typeof deed extends fc.Arbitrary<infer D> ? D : never;
const step = fc.oneof(
  { weight: 5, arbitrary: frame.map((one) => ({ frame: one })) },
  { weight: 4, arbitrary: deed.map((one) => ({ deed: one })) },
  { weight: 2, arbitrary: pick(100, 1_000, 5_000, 700_000).map((ms) => ({ pass: ms })) },
  { weight: 1, arbitrary: pick({ reconnect: true }) },
);

class Process {
  readonly app = new AppServer(rules);
  private readonly held = new Map<string, HeldGrant>();
  private readonly wanted = new Set<string>();
  /** Each lock that was ever granted: whether it was lost, and the last seq sent under it. */
  private readonly story = new Map<HeldGrant, { lost: boolean; acknowledged: number }>();
  private readonly granted = new Map<string, number>();
  /** Tokens that the store has named. */
  private readonly named = new Set<string>();
  /** The last messages, for plausible answers. */
  private readonly waits = new Map<string, { partition: number; request: number }>();
  private readonly asked = new Map<number, Extract<HolderMessage, { kind: 'renew' }>>();

  constructor() {
    this.app.leased = false;
    this.machine.connected(this.app.now);
    this.look();
  }

  get machine(): HolderMachine {
    return this.app.machine;
  }

  run(one: typeof step extends fc.Arbitrary<infer S> ? S : never): void {
    if ('frame' in one) this.hear(one.frame);
    else if ('deed' in one) this.act(one.deed);
    else if ('pass' in one) this.pass(one.pass);
    else this.machine.connected(this.app.now);
    this.look();
  }

  /** The rest of a day, when the process has given everything back and the store has answered. */
  rest(): void {
    for (const one of sessions) {
      this.act({ does: 'release', session: one });
      this.act({ does: 'give up', session: one });
    }
    this.look();
  }

  private hear({ partition, epoch, messages, plausible }: Frame): void {
    const better = plausible ? messages.map((one) => this.plausible(one)) : messages;
    const wait = plausible ? [...this.waits.values()][0] : undefined;
    const all = { partition: wait?.partition ?? partition, epoch, messages: better };
    let heard: StorePart | undefined;
    try {
      [heard] = decodeStoreFrame(encodeStoreFrame({ key: '', parts: [all] })).parts;
    } catch (error) {
      // It can be sent, but a number is too high to be counted on from.
      expect(error).toBeInstanceOf(FrameError);
      return;
    }
    for (const one of better) {
      for (const name of tokensOf(one)) this.named.add(name);
    }
    this.machine.receive(heard!, this.app.now);
  }

  private plausible(one: StoreMessage): StoreMessage {
    const [[id, wait] = []] = this.waits;
    if (one.kind === 'grant' && id && wait) return { ...one, session: id, request: wait.request, keep: [] };
    if (one.kind !== 'renewed') return one;
    const asked = this.asked.get(wait?.partition ?? 0);
    return { ...one, n: asked?.n ?? one.n, valid: asked && confirmed(asked), leaseMs: 5_000, revoked: [] };
  }

  private act({ does, session: id }: Deed): void {
    const { machine } = this;
    const { now, time } = this.app;
    const grant = this.held.get(id);
    if (does === 'want') {
      if (!grant) this.wanted.add(id);
      machine.want(id, time + 10_000, changes({ a: '1' }).set, now);
    } else if (does === 'give up') {
      this.wanted.delete(id);
      this.waits.delete(id);
      machine.giveUp(id);
    } else if (!grant) return;
    else if (does === 'commit') machine.commit(grant, changes({ a: String(time) }, ['b']), now);
    else if (does === 'prove') machine.confirmHeld(grant, now);
    else if (does === 'trusts') machine.trusts(grant, now);
    else if (does === 'use') grant.used = true;
    else {
      this.held.delete(id);
      if (does === 'release') machine.release(grant, changes({ c: '1' }), now);
      else machine.destroy(grant, now);
    }
  }

  private pass(ms: number): void {
    this.app.time += ms;
    expect(this.machine.tickMs).toBeGreaterThan(1); // the driver's timer does not run hot
    this.machine.tick(this.app.now);
  }

  /** The events and messages must make sense. */
  private look(): void {
    for (const event of this.machine.takeEvents()) this.follow(event);
    for (const [partition, messages] of this.machine.takeMessages()) {
      expect(messages.length).toBeLessThan(1_100);
      encodeHolderFrame({ holder: 'h', queue: 'q', parts: [{ partition, epoch: 0, messages }] });
      for (const one of messages) this.said(partition, one);
    }
    const { sessions: kept, locks, unsent, leases } = this.machine.memory();
    expect(kept).toBeLessThanOrEqual(sessions.length);
    expect(unsent).toBe(0);
    expect(leases.filter(({ partition }) => partition >= rules.partitions)).toEqual([]);
    expect(leases.reduce((sum, lease) => sum + lease.locks, 0)).toBe(locks);
    for (const { pending, repeated } of leases) {
      expect(pending).toBeLessThanOrEqual(16);
      expect(repeated).toBeLessThanOrEqual(1_000);
    }
  }

  private follow(event: HolderEvent): void {
    if (event.kind === 'partitions') return;
    if (event.kind === 'refused') {
      expect(this.wanted.has(event.session)).toBe(true);
      this.wanted.delete(event.session);
      this.waits.delete(event.session);
      return;
    }
    const { grant } = event;
    const { session: id } = grant;
    if (event.kind === 'granted') {
      expect(this.wanted.delete(id)).toBe(true);
      expect(this.held.has(id)).toBe(false);
      this.waits.delete(id);
      this.held.set(id, grant);
      this.story.set(grant, { lost: false, acknowledged: grant.acknowledged });
      this.granted.set(`${id} ${grant.token.join()}`, grant.seq);
      return;
    }
    const known = this.story.get(grant);
    expect(known?.lost, `${event.kind} of a lock that was not granted, or is lost`).toBe(false);
    if (event.kind === 'recalled' || event.kind === 'trusted') expect(this.held.get(id)).toBe(grant);
    if (event.kind === 'acknowledged') {
      expect(grant.acknowledged).toBeGreaterThan(known!.acknowledged);
      expect(grant.acknowledged).toBeLessThanOrEqual(grant.seq);
      known!.acknowledged = grant.acknowledged;
    }
    if (event.kind !== 'lost') return;
    known!.lost = true;
    if (this.held.get(id) === grant) this.held.delete(id);
  }

  /** Changes are sent only under granted tokens, in order. Empty releases name tokens of the store. */
  private said(partition: number, one: HolderMessage): void {
    if (one.kind === 'acquire') this.waits.set(one.session, { partition, request: one.request });
    if (one.kind === 'renew') this.asked.set(partition, one);
    if (one.kind !== 'commit' && one.kind !== 'release' && one.kind !== 'destroy') return;
    const name = `${one.session} ${one.token.join()}`;
    if (one.kind === 'release' && one.seq === 0) {
      expect(this.named.has(name), `release ${name}`).toBe(true);
      expect(one.set.size + one.removed.length).toBe(0);
      return;
    }
    const last = this.granted.get(name);
    expect(last, `${one.kind} under ${name}, which was not granted`).toBeDefined();
    expect(one.seq).toBeLessThanOrEqual(last! + 1);
    this.granted.set(name, Math.max(last!, one.seq));
  }
}

function tokensOf(one: StoreMessage): string[] {
  const named = one.kind === 'renewed' ? [...one.recalled, ...one.revoked, ...(one.valid ?? [])] : [];
  if ('token' in one && one.token) named.push([one.session, one.token]);
  return named.map(([id, name]) => `${id} ${name.join()}`);
}

describe('a store that lies', () => {
  it('does not make a holder throw, invent a lock, or fill its memory', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        const process = new Process();
        for (const one of steps) process.run(one);
        process.rest();
      }),
      { numRuns: Number(process.env['SIEGE_RUNS'] ?? 500) },
    );
  }, 60_000);
});
