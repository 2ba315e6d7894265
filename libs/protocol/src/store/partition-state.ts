/**
 * The state that the parts of a partition's machine share: the sessions, their waiters, the known holders,
 * and the outputs. It decides nothing.
 */
import type { HolderMessage, Refused } from '../wire/messages.js';
import { partitionOf } from '../wire/session-id.js';
import { HolderLeases } from './holder-leases.js';
import { PendingOutputs } from './outputs.js';
import type { Ownership, StoreParameters } from './parameters.js';
import type { GrantRecord } from './record.js';
import type { StoreRules } from './rules.js';
import { SessionCache } from './session-cache.js';
import type { SessionState } from './session-state.js';
import { Waiters } from './waiters.js';

export interface StoreCounters {
  grants: number;
  recalls: number;
  commits: number;
  releases: number;
  revocations: number;
  destroyed: number;
  expired: number;
  /** Repeated requests that got the original answer. */
  repeats: number;
  refusals: number;
}

export class PartitionState {
  readonly counters: StoreCounters = {
    grants: 0,
    recalls: 0,
    commits: 0,
    releases: 0,
    revocations: 0,
    destroyed: 0,
    expired: 0,
    repeats: 0,
    refusals: 0,
  };
  readonly sessions = new SessionCache();
  readonly outputs: PendingOutputs;
  readonly waiters: Waiters;
  readonly holders: HolderLeases;

  constructor(
    readonly partition: number,
    readonly epoch: number,
    readonly parameters: StoreParameters,
    readonly rules: StoreRules,
    ownership: Ownership,
  ) {
    this.outputs = new PendingOutputs(parameters.ttlMs);
    this.waiters = new Waiters(this.outputs, rules);
    this.holders = new HolderLeases(parameters, ownership, rules);
  }

  owns(session: string): boolean {
    return partitionOf(session, this.parameters.partitions) === this.partition;
  }

  /** Changes the session's record, and counts and writes it. */
  change(session: SessionState, change: () => void): void {
    this.sessions.changing(session, change);
    this.outputs.write(session);
  }

  /** Where the holder of the grant is reached. */
  queueOf({ holder, queue }: GrantRecord): string {
    return this.holders.queueOf(holder) ?? queue;
  }

  refuse(
    queue: string,
    message: Exclude<HolderMessage, { kind: 'renew' | 'leave' }>,
    why: Refused['why'],
    more: { appliedThrough?: number; detail?: string } = {},
  ): void {
    const { session } = message;
    this.counters.refusals++;
    const what =
      'request' in message ? { request: message.request } : { token: message.token, seq: message.seq };
    this.outputs.send(queue, { kind: 'refused', session, why, ...what, ...more });
  }
}
