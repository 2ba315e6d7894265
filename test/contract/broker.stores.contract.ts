/** The broker's contract on the own queue of a store (rule 22). */
import { describe, expect, it, vi } from 'vitest';
import type { Delivery } from '#broker';
import { bytes, frames, stage, type MakeExchange } from './broker.parties.js';

export function storesContract(makeExchange: MakeExchange): void {
  const { open, join } = stage(makeExchange);

  describe("a store's own queue", () => {
    it('brings the frames of a holder that knows its key, in order, and of no other store', async () => {
      const { store } = await open();
      const { store: other } = await open();
      const { link } = await join();
      for (const frame of frames(1, 300)) expect(link.sendToStore(store.key, bytes(frame))).toBe(true);
      link.sendToStore(other.key, bytes('for the other'));
      await store.until(() => store.frames.length === 300);
      await other.until(() => other.frames.length === 1);
      expect(store.frames).toEqual(frames(1, 300));
      expect(other.frames).toEqual(['for the other']);
    });

    it('has `prefetch` frames with the store at most, whatever the order of their acknowledgements', async () => {
      const { store } = await open({ prefetch: 5 });
      const { link } = await join();
      const waiting: Delivery[] = [];
      let mostWaiting = 0;
      store.onFrame = (delivery) => {
        mostWaiting = Math.max(mostWaiting, waiting.push(delivery));
        if (waiting.length < 5) return;
        const settled = waiting.splice(0).toReversed();
        setImmediate(() => settled.forEach((each) => (each.ack(), each.ack())));
      };
      for (const frame of frames(1, 50)) link.sendToStore(store.key, bytes(frame));
      await store.until(() => store.frames.length === 50);
      expect(store.frames).toEqual(frames(1, 50));
      expect(mostWaiting).toBe(5);
    });

    it('ends with its connection, with what waits there, and another one has another key', async () => {
      const { party, store } = await open({ prefetch: 1 });
      const { link } = await join();
      for (const frame of frames(1, 3)) link.sendToStore(store.key, bytes(frame));
      await store.until(() => store.frames.length === 1);
      const stale = store.deliveries[0]!;
      party.cut();
      await store.until(() => store.keys.length === 2);
      stale.ack();
      link.sendToStore(store.key, bytes('to the new one'));
      await store.until(() => store.frames.length === 2);
      expect(store.events).toEqual(['opened', '1', 'closed', 'opened', 'to the new one']);
      expect(new Set(store.keys).size).toBe(2);
    });

    it('that is gone has frames to it come back', async () => {
      const { party, store } = await open();
      const { link, client } = await join();
      await party.broker.close();
      await vi.waitFor(() => {
        expect(link.sendToStore(store.key, bytes('to nobody'))).toBe(true);
        expect(client.events).toContain(`returned ${store.key}`);
      }, 10_000);
    });

    it('brings an echo back behind the frames before it, with its marks', async () => {
      const { store, link } = await open({ prefetch: 2 });
      const { link: holder } = await join();
      for (const frame of frames(1, 20)) holder.sendToStore(store.key, bytes(frame));
      await store.until(() => store.frames.length === 2);
      // These two have arrived. So the others have, too, or they travel in front of this one.
      const { store: other } = await open();
      holder.sendToStore(other.key, bytes('fence'));
      await other.until(() => other.frames.length === 1);
      expect(link.echo(7, 1_234.5)).toBe(true);
      store.onFrame = (delivery) => delivery.ack();
      for (const delivery of [...store.deliveries]) delivery.ack();
      await store.until(() => store.events.length === 22);
      expect(store.events).toEqual(['opened', ...frames(1, 20), 'echo 7 1234.5']);
    });
  });
}
