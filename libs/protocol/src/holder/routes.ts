/**
 * Which way a holder's messages go (rule 22). What follows a grant goes to the own queue of the store that
 * owns the partition, while the holder knows that store's key. Requests go to the partition's queue, and so
 * does all else while no key is known.
 */
import { isRequest } from '../wire/frames.js';
import type { HolderMessage, Part } from '../wire/messages.js';
import type { HolderRules } from './rules.js';

/** The messages of a turn, in order, by their ways. */
export interface HolderTurn {
  /** By the key of a store's own queue. */
  readonly toStores: ReadonlyMap<string, readonly Part<HolderMessage>[]>;
  readonly toPartitions: readonly Part<HolderMessage>[];
}

interface Route {
  /** Leads to the owner. Undefined when it is not known, or not believed any more. */
  key: string | undefined;
  /** Since when the owner owes an answer to what went there, by the monotonic clock. */
  owesSince: number | undefined;
}

export class Routes {
  /** Each partition from whose owner a frame has come. */
  private readonly routes = new Map<number, Route>();

  constructor(private readonly rules: HolderRules) {}

  /**
   * A frame with this key has come from the owner, which is not an earlier one. Returns whether another key
   * was believed until now. What went there may be lost.
   */
  heard(partition: number, key: string): boolean {
    const believed = key === '' ? undefined : key;
    const route = this.routes.get(partition);
    if (!route) {
      this.routes.set(partition, { key: believed, owesSince: undefined });
      return false;
    }
    const isOther = route.key !== undefined && route.key !== believed;
    route.key = believed;
    route.owesSince = undefined;
    return isOther;
  }

  /** Splits the messages of a turn. `epochOf` tells the highest known epoch of a partition. */
  split(
    outbox: ReadonlyMap<number, readonly HolderMessage[]>,
    epochOf: (partition: number) => number,
    mono: number,
  ): HolderTurn {
    const toStores = new Map<string, Part<HolderMessage>[]>();
    const toPartitions: Part<HolderMessage>[] = [];
    for (const [partition, messages] of outbox) {
      const epoch = epochOf(partition);
      const route = this.routes.get(partition);
      const isDirect = (one: HolderMessage) => this.rules.goesDirect(isRequest(one), route?.key);
      const direct = messages.filter(isDirect);
      if (direct.length > 0) {
        const { key } = route!;
        route!.owesSince ??= mono;
        const parts = toStores.get(key!);
        if (parts) parts.push({ partition, epoch, messages: direct });
        else toStores.set(key!, [{ partition, epoch, messages: direct }]);
      }
      const others = direct.length > 0 ? messages.filter((one) => !isDirect(one)) : messages;
      if (others.length > 0) toPartitions.push({ partition, epoch, messages: others });
    }
    return { toStores, toPartitions };
  }

  /**
   * The store with this key says that it does not own the partition. Returns whether the holder believed that
   * it does.
   */
  disowned(partition: number, key: string): boolean {
    const route = this.routes.get(partition);
    if (!route || !this.rules.isDisowned(route.key, key)) return false;
    route.key = undefined;
    return true;
  }

  /** A frame to this key has come back. Returns the partitions that are concerned. */
  returned(key: string): number[] {
    return [...this.routes.keys()].filter((partition) => this.disowned(partition, key));
  }

  /** There is a new connection. The owner must learn the new queue, in order with all requests. */
  connected(): void {
    this.routes.clear();
  }

  /** Believes no key that has answered nothing for too long. What is repeated goes the other way. */
  tick(mono: number, repeatMs: number): void {
    for (const route of this.routes.values()) {
      const { owesSince } = route;
      if (owesSince === undefined || !this.rules.isSilent(mono - owesSince, repeatMs)) continue;
      route.key = undefined;
    }
  }
}
