/**
 * Races between the two ways to a store (rule 22). Each is played twice: by the rules, and without the one
 * rule that prevents its harm. Then the harm must show. The table of all races is in docs/PROTOCOL.md.
 */
import { describe, expect, it } from 'vitest';
import { HolderMachine } from '../holder/holder-machine.js';
import type { HeldGrant } from '../holder/outputs.js';
import type { HolderRules } from '../holder/rules.js';
import type { StoreMessage } from '../wire/messages.js';
import { changes, asText } from './message-text.js';
import { testParameters } from './pair.js';

/** A holder whose messages go two ways. */
class RoutedHolder {
  private time = 0;
  readonly machine: HolderMachine;
  grant: HeldGrant | undefined;

  constructor(rules: Partial<HolderRules> = {}) {
    this.machine = new HolderMachine(testParameters, rules);
    this.machine.connected(this.now);
  }

  private get now() {
    return { mono: this.time, wall: 1_000_000 + this.time };
  }

  /** Holds the session `s`, granted by an owner whose own queue has this key. */
  static holding(key: string, rules: Partial<HolderRules> = {}): RoutedHolder {
    const holder = new RoutedHolder(rules);
    holder.want('s');
    const lists = { leaseMs: 60_000, ttlMs: 60_000, partitions: 1, recalled: [], revoked: [] };
    holder.hears(1, key, { kind: 'renewed', n: 1, ...lists }, granted);
    void holder.sends();
    return holder;
  }

  want(session: string): void {
    this.machine.want(session, this.time + 100_000, changes().set, this.now);
  }

  commit(): this {
    this.machine.commit(this.grant!, changes({ a: '1' }), this.now);
    return this;
  }

  hears(epoch: number, key: string, ...messages: StoreMessage[]): this {
    this.machine.receive({ partition: 0, epoch, messages }, this.now, () => {}, key);
    for (const event of this.machine.takeEvents()) if (event.kind === 'granted') this.grant = event.grant;
    return this;
  }

  comesBack(key: string): this {
    this.machine.returned(key, this.now);
    return this;
  }

  reconnects(): this {
    this.machine.connected(this.now);
    return this;
  }

  pass(ms: number): this {
    for (const end = this.time + ms; this.time < end;) {
      this.time += 100;
      this.machine.tick(this.now);
    }
    return this;
  }

  /** The messages since the last call but renewals, each with its way. */
  sends(): string[] {
    const { toStores, toPartitions } = this.machine.takeTurn(this.now);
    const all = [...[...toStores].flatMap(([key, parts]) => parts.map((part) => [key, part] as const))];
    const both = [...all, ...toPartitions.map((part) => ['partition', part] as const)];
    return both.flatMap(([way, { messages }]) =>
      messages.filter(({ kind }) => kind !== 'renew').map((message) => `${way}: ${asText(message)}`),
    );
  }
}

const granted: StoreMessage = {
  ...{ kind: 'grant', session: 's', request: 1, token: [1, 1], mode: 'exclusive', version: [1, 1, 0] },
  ...{ seq: 0, set: new Map(), keep: [], contended: false },
};
const commit = 'commit s 1.1 seq 1 {a=1}';

describe('what follows a grant', () => {
  it('rule 22: goes to the own queue of the owner, and requests to the queue of the partition', () => {
    const play = (rules?: Partial<HolderRules>) => {
      const holder = RoutedHolder.holding('one', rules).commit();
      holder.want('t');
      return holder.sends().map((line) => line.split(' ', 2).join(' '));
    };
    expect(play()).toEqual(['one: commit', 'partition: acquire']);
    const all = { goesDirect: (_isRequest: boolean, key: string | undefined) => key !== undefined };
    expect(play(all), 'a request would be lost with its store').toEqual(['one: acquire', 'one: commit']);
  });

  it('rule 22: goes to the queue of the partition while the owner has no own queue', () => {
    expect(RoutedHolder.holding('').commit().sends()).toEqual([`partition: ${commit}`]);
  });

  it('rule 22: goes to a new owner as soon as that names its key, and not back to the old one', () => {
    const holder = RoutedHolder.holding('one').hears(2, 'two').hears(1, 'one').commit();
    expect(holder.sends()).toEqual([`two: ${commit}`]);
  });

  it('rule 22: goes to the queue of the partition after a reconnect, so that the owner learns the new queue', () => {
    const holder = RoutedHolder.holding('one').reconnects().commit();
    expect(holder.sends()).toEqual([`partition: ${commit}`]);
    expect(holder.hears(1, 'one').pass(testParameters.repeatMs).sends()).toEqual([`one: ${commit}`]);
  });
});

describe('race 19: the owner has changed, and the old store lives', () => {
  const deaf: Partial<HolderRules> = { isDisowned: () => false };
  const play = (rules?: Partial<HolderRules>) => {
    const holder = RoutedHolder.holding('one', rules).commit();
    void holder.sends();
    return holder.hears(0, 'one', { kind: 'disowned' }).sends();
  };

  it('race 19: it says so, and the holder sends again by the queue of the partition', () => {
    expect(play()).toEqual([`partition: ${commit}`]);
    expect(play(deaf), 'the change waits for the store that dropped it').toEqual([]);
  });

  it('race 19: a new owner is sent at once what went to the old one', () => {
    const holder = RoutedHolder.holding('one').commit();
    void holder.sends();
    expect(holder.hears(2, 'two').sends()).toEqual([`two: ${commit}`]);
  });

  it('race 19: what another store says it does not own changes nothing', () => {
    const holder = RoutedHolder.holding('one').hears(2, 'two').commit();
    void holder.sends();
    expect(holder.hears(0, 'one', { kind: 'disowned' }).sends()).toEqual([]);
    expect(holder.commit().sends()).toEqual(['two: commit s 1.1 seq 2 {a=1}']);
  });
});

describe("race 20: the store's own queue is gone", () => {
  const deaf: Partial<HolderRules> = { isDisowned: () => false };
  const play = (rules?: Partial<HolderRules>) => {
    const holder = RoutedHolder.holding('one', rules).commit();
    void holder.sends();
    return [holder.comesBack('one').sends(), holder.comesBack('one').sends()];
  };

  it('race 20: a frame comes back, and the holder sends all again by the queue of the partition, once', () => {
    expect(play()).toEqual([[`partition: ${commit}`], []]);
    expect(play(deaf), 'the change waits').toEqual([[], []]);
  });
});

describe("race 21: what is in the store's own queue is lost, and nobody says so", () => {
  const patient: Partial<HolderRules> = { isSilent: () => false };
  const play = (rules?: Partial<HolderRules>) => {
    const holder = RoutedHolder.holding('one', rules).commit();
    void holder.sends();
    return holder.pass(testParameters.repeatMs).sends();
  };

  it('race 21: after a short silence the repeat goes by the queue of the partition', () => {
    expect(play()).toEqual([`partition: ${commit}`]);
    expect(play(patient), 'each repeat goes where the first one was lost').toEqual([`one: ${commit}`]);
  });
});
