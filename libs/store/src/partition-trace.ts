/**
 * Tells a trace what a partition's owner does: claims, the records that it gives to the repository, and what
 * becomes of them. Grants, releases, revocations, changes, destructions and expiry all show in the records.
 */
import type { RecordWrite, StoreMessage, StoreOutputs } from '#protocol';
import type { HashedValues, TraceFact, TraceSink } from '#trace';

export class PartitionTrace {
  private epoch = 0;
  private batch = 0;

  constructor(
    private readonly sink: TraceSink,
    private readonly partition: number,
  ) {}

  claimed(epoch: number, previous: number): void {
    this.epoch = epoch;
    this.batch = 0;
    this.tell({ kind: 'claimed', partition: this.partition, epoch, previous });
  }

  gaveUp(why: string): void {
    this.tell({ kind: 'gave-up', ...this.where, why });
  }

  /** Before the outputs are applied: a record that may be in the repository is in the trace. */
  applies({ writes, messages }: StoreOutputs): void {
    this.batch++;
    for (const write of writes) this.write(write);
    for (const list of messages.values()) for (const message of list) this.message(message);
    this.sink.flush();
  }

  applied({ writes }: StoreOutputs): void {
    if (writes.length > 0) this.tell({ kind: 'written', ...this.where, batch: this.batch });
  }

  private write({ session: id, record, set, removed }: RecordWrite): void {
    const session = this.sink.session(id);
    const values: HashedValues = removed.map((name) => [name, null]);
    for (const name of record ? set : [])
      values.push([name, this.sink.value(id, name, record!.attributes.get(name)!.bytes)]);
    this.tell({
      kind: 'write',
      ...this.where,
      batch: this.batch,
      session,
      record: record ? recordOf(record) : null,
      set: values,
    });
  }

  private message(message: StoreMessage): void {
    if (!('session' in message)) return;
    const session = this.sink.session(message.session);
    if (message.kind === 'recall')
      this.tell({ kind: 'asked-back', ...this.where, session, token: [...message.token] });
    if (message.kind === 'revoked')
      this.tell({ kind: 'revoked', ...this.where, session, token: [...message.token], why: message.why });
    if (message.kind === 'refused')
      this.tell({ kind: 'turned-away', ...this.where, session, why: message.why });
  }

  private get where() {
    return { partition: this.partition, epoch: this.epoch };
  }

  private tell(fact: TraceFact): void {
    this.sink.record(fact);
  }
}

function recordOf({ version, grant, destroyed }: NonNullable<RecordWrite['record']>) {
  const held = grant && {
    token: [...grant.token] as [number, number],
    holder: grant.holder,
    seq: grant.seq,
    revoked: grant.revoked,
  };
  return {
    version: [...version] as [number, number, number],
    grant: held ?? null,
    destroyed: destroyed !== undefined,
  };
}
