/**
 * Tells a trace what this process does as a holder: what it asks for, what it is granted and told, and what
 * it gives back.
 */
import type { HeldGrant, HolderEvent, StorePart } from '#protocol';
import type { HashedValues, TraceSink } from '#trace';

export class HolderTrace {
  private readonly asking = new Set<string>();
  /** Grants that the store is to confirm before they are used. */
  private readonly doubted = new WeakSet<HeldGrant>();

  constructor(private readonly sink: TraceSink) {}

  /** Before messages leave: what others may see of this process is in its trace then. */
  flush(): void {
    this.sink.flush();
  }

  close(): void {
    this.sink.close();
  }

  asks(session: string): void {
    if (this.asking.has(session)) return;
    this.asking.add(session);
    this.sink.record({ kind: 'asked', session: this.sink.session(session) });
  }

  givesUp(session: string): void {
    this.notGranted(session, 'given-up');
  }

  releases(grant: HeldGrant): void {
    this.sink.record({ kind: 'released', ...this.of(grant), seq: grant.seq });
  }

  destroys(grant: HeldGrant): void {
    this.sink.record({ kind: 'destroyed', ...this.of(grant), seq: grant.seq });
  }

  doubts(grant: HeldGrant): void {
    if (this.doubted.has(grant)) return;
    this.doubted.add(grant);
    this.sink.record({ kind: 'doubted', ...this.of(grant) });
  }

  received({ partition, epoch, messages }: StorePart): void {
    for (const message of messages) {
      if (message.kind === 'renewed')
        this.sink.record({ kind: 'renewed', partition, epoch, leaseMs: message.leaseMs });
    }
  }

  happened(event: HolderEvent): void {
    switch (event.kind) {
      case 'granted':
        return this.granted(event.grant);
      case 'recalled':
        return this.sink.record({ kind: 'recalled', ...this.of(event.grant) });
      case 'acknowledged':
        return this.sink.record({
          kind: 'acknowledged',
          ...this.of(event.grant),
          seq: event.grant.acknowledged,
        });
      case 'trusted':
        this.doubted.delete(event.grant);
        return this.sink.record({ kind: 'trusted', ...this.of(event.grant) });
      case 'lost':
        return this.sink.record({ kind: 'lost', ...this.of(event.grant), why: event.why });
      case 'refused':
        return this.notGranted(event.session, event.why);
      case 'partitions':
    }
  }

  private notGranted(session: string, why: string): void {
    if (!this.asking.delete(session)) return;
    this.sink.record({ kind: 'not-granted', session: this.sink.session(session), why });
  }

  private granted(grant: HeldGrant): void {
    this.asking.delete(grant.session);
    const state: HashedValues = [];
    for (const [name, { bytes }] of grant.attributes)
      state.push([name, this.sink.value(grant.session, name, bytes)]);
    this.sink.record({ kind: 'granted', ...this.of(grant), state });
  }

  private of({ session, token: [epoch, n] }: HeldGrant): { session: string; token: [number, number] } {
    return { session: this.sink.session(session), token: [epoch, n] };
  }
}
