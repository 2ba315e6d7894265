/**
 * Hands each event from the store to the gate of its session. Two events concern the deployment, and turn
 * scopes away: another number of partitions, and another version of the protocol.
 */
import { partitionOf, type HolderEvent } from '#protocol';
import { LockedSessionError } from '../errors.js';
import { otherVersion, wrongPartitions } from '../gate/gate-errors.js';
import type { SessionGate } from '../gate/session-gate.js';
import type { DriverEvent } from '../holder/holder-driver.js';
import type { Gates } from './gates.js';

type GateEvent = Exclude<HolderEvent, { kind: 'partitions' }>;

export class StoreEvents {
  /** The reason why no scope can be run: the store has another number of partitions. */
  mismatch: LockedSessionError | undefined;

  constructor(private readonly gates: Gates) {}

  handle(event: DriverEvent): void {
    if (event.kind === 'partitions') return this.counted(event.partitions);
    if (event.kind === 'version') return this.notUnderstood(event.partition, otherVersion(event.version));
    const id = event.kind === 'refused' ? event.session : event.grant.session;
    // With write-back this may come when no scope uses the session any more.
    if (event.kind === 'lost') this.warnOfLoss(event);
    const gate = this.gates.get(id);
    if (gate) this.gates.attempt(gate, () => this.happened(event, gate));
  }

  private happened(event: GateEvent, gate: SessionGate): void {
    switch (event.kind) {
      case 'granted':
        gate.granted(event.grant, event.contended);
        this.gates.keepToCap(gate);
        break;
      case 'recalled':
        gate.recalled();
        break;
      case 'trusted':
        gate.trusted();
        break;
      case 'acknowledged':
        gate.acknowledged(event.grant);
        break;
      case 'lost':
        gate.lost(event.grant, event.why);
        break;
      case 'refused':
        gate.refused(event.why, event.detail);
    }
    this.gates.forget(gate);
  }

  private warnOfLoss({ grant, why, madeAreLost }: Extract<HolderEvent, { kind: 'lost' }>): void {
    const results = madeAreLost ? ', and with it changes that write-back had reported as made' : '';
    this.gates.log.warn(`session ${grant.session}: the lock is lost (${why})${results}`);
  }

  /**
   * With another number of partitions this process would look for a session in another partition than others
   * do.
   */
  private counted(partitions: number): void {
    const mine = this.gates.settings.partitions;
    this.mismatch = partitions === mine ? undefined : wrongPartitions(partitions, mine);
    if (!this.mismatch) return;
    this.gates.log.error(this.mismatch.message);
    for (const gate of this.gates.all()) gate.turnAway(this.mismatch);
  }

  /**
   * The partition's store is of another release. Later scopes ask again, since another store may have taken
   * its place.
   */
  private notUnderstood(partition: number, error: LockedSessionError): void {
    for (const gate of this.gates.all())
      if (partitionOf(gate.id, this.gates.settings.partitions) === partition) gate.turnAway(error);
  }
}
