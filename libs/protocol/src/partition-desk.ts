/**
 * What everything that a partition's owner does is made of: its sessions, who waits for them, what it knows of the holders, and what is to be
 * written and said. The layers above it: tenure.ts (who holds a lock, and for how long), session-changes.ts (what is done under it), partition-machine.ts (what
 * is asked).
 */
import { Holders, type HolderLeaseRules, type Ownership } from './holders.js';
import type { HolderMessage, Refused } from './messages.js';
import { SessionCache } from './session-cache.js';
import { partitionOf } from './session-id.js';
import type { SessionState } from './session-state.js';
import { PendingOutputs } from './store-outputs.js';
import { WaitingRoom } from './waiting-room.js';

export interface StoreRules extends HolderLeaseRules {
  /** The deployment's number of partitions. */
  readonly partitions: number;
  /** How long a holder that lives has to release after a recall, in milliseconds (rule 10). */
  readonly recallTimeoutMs: number;
  /** Most requests that may wait for one session (two at least), and in one partition; as many queues of sessions are consumed in it at most. */
  readonly waitersPerSession: number;
  readonly waitersPerPartition: number;
  /** Ended grants remembered for each session (rule 6). */
  readonly endedGrants: number;
  /** How long after its last touch a session is kept, in milliseconds (rule 15). */
  readonly ttlMs: number;
  /** How long a destroyed session is remembered, in milliseconds: far longer than the longest wait (rule 14). */
  readonly tombstoneMs: number;
}

export interface StoreCounters {
  grants: number;
  recalls: number;
  commits: number;
  releases: number;
  revocations: number;
  destroyed: number;
  expired: number;
  /** Requests that were repeated and got the original answer. */
  repeats: number;
  refusals: number;
}

export abstract class PartitionDesk {
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

  protected readonly sessions = new SessionCache();
  protected readonly outputs = new PendingOutputs(this.rules.ttlMs);
  protected readonly waiting = new WaitingRoom(this.outputs);

  constructor(
    readonly partition: number,
    readonly epoch: number,
    protected readonly rules: StoreRules,
    ownership: Ownership,
    protected readonly holders = new Holders(rules, ownership),
  ) {}

  /** The session's record is changed, counted and written. */
  protected changing(session: SessionState, change: () => void): void {
    this.sessions.changing(session, change);
    this.outputs.write(session);
  }

  protected owns(session: string): boolean {
    return partitionOf(session, this.rules.partitions) === this.partition;
  }

  protected refuse(
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
