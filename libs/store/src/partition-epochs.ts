/**
 * The epochs of one partition (rule 13): this store's claims, and what holders show of epochs that it does
 * not know.
 */
import type { Clock } from '#broker';
import {
  partitionHash,
  PartitionMachine,
  type ClaimedEpochs,
  type HolderPart,
  type Now,
  type StoreParameters,
  type StoreRules,
} from '#protocol';
import type { SessionRepository } from '#repository';
import type { PartitionIncidents } from './partition-incidents.js';

/** A claim that the repository has made. */
export interface MadeClaim {
  readonly machine: PartitionMachine;
  readonly epochs: ClaimedEpochs;
  readonly at: Now;
}

export class PartitionEpochs {
  private claimed: ClaimedEpochs = { epoch: 0, previous: 0 };
  /** The highest epoch that a holder has shown and that is to be believed. */
  private shown = 0;

  constructor(
    private readonly partition: number,
    private readonly ports: { readonly repository: SessionRepository; readonly clock: Clock },
    private readonly incidents: PartitionIncidents,
    private readonly parameters: StoreParameters,
    private readonly rules: StoreRules,
  ) {}

  /** A frame of a holder that knows this epoch has come. */
  show(epoch: number, wall: number): void {
    if (this.rules.isBelievable(epoch, wall)) this.shown = Math.max(this.shown, epoch);
  }

  /** Whether the frame is read. The log names an epoch that these data do not know. */
  counts({ epoch, holder }: HolderPart, wall: number): boolean {
    const verdict = this.rules.judgeShownEpoch(epoch, this.claimed, wall);
    if (verdict === 'lost') this.incidents.dataAreOlder(this.partition, epoch);
    if (verdict === 'unbelievable') this.incidents.cannotBelieve(holder, epoch);
    return verdict !== 'unbelievable';
  }

  /** Holders know a higher epoch than this one, and would drop its frames. */
  mustClaimAbove(epoch: number): boolean {
    return this.rules.mustClaimAbove(this.shown, epoch);
  }

  /** Nobody else has claimed the partition. So the data are older than what holders have met. */
  dataAreOlder(): void {
    this.incidents.dataAreOlder(this.partition, this.shown);
  }

  async claim(): Promise<MadeClaim> {
    const { partitions, leaseMs } = this.parameters;
    const deployment = { partitions, hash: partitionHash, leaseMs };
    const { repository, clock } = this.ports;
    // It is the time, so that no epoch comes twice, even with older data.
    const floor = Math.max(Math.floor(clock.now().wall), this.shown + 1);
    const { epoch, previous, longestLeaseMs } = await repository.claim(this.partition, deployment, floor);
    const at = clock.now();
    const owned = { since: at.mono, longestLeaseMs };
    const machine = new PartitionMachine(this.partition, epoch, this.parameters, owned, this.rules);
    return { machine, epochs: { epoch, previous }, at };
  }

  /** The claim holds. */
  began({ epochs }: MadeClaim): void {
    this.claimed = epochs;
  }
}
