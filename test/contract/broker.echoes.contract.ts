/**
 * The broker's contract on echoes, which the owner of a partition sends to itself through the partition's
 * queue.
 */
import { describe, expect, it } from 'vitest';
import { bytes, frames, OTHER_PARTITION, PARTITION, stage, type MakeExchange } from './broker.parties.js';

export function echoesContract(makeExchange: MakeExchange): void {
  const { serve, join } = stage(makeExchange);

  describe('an echo', () => {
    it('comes back with its mark, after everything that was in the queue before it', async () => {
      const { server, link } = await serve({ prefetch: 2 });
      const { link: holder } = await join();
      for (const frame of frames(1, 20)) holder.send(PARTITION, bytes(frame));
      await server.until(() => server.frames.length === 2);
      // These two have arrived. So the others have, too, or they travel in front of the echo.
      await reached(holder);
      expect(link.echo(1_234.5678)).toBe(true);
      server.onFrame = (delivery) => delivery.ack();
      for (const delivery of [...server.deliveries]) delivery.ack();
      await server.until(() => server.events.length === 21);
      expect(server.events).toEqual([...frames(1, 20), 'echo 1234.5678']);
    });

    it('is no frame, and does not count for prefetch', async () => {
      const { party, server, link } = await serve({ prefetch: 1 });
      const { link: holder } = await join();
      for (let mark = 1; mark <= 5; mark++) link.echo(mark);
      await server.until(() => server.events.length === 5);
      holder.send(PARTITION, bytes('a frame'));
      await server.until(() => server.events.length === 6);
      expect(server.events).toEqual(['echo 1', 'echo 2', 'echo 3', 'echo 4', 'echo 5', 'a frame']);
      expect(party.broker.counters).toMatchObject({ framesSent: 0, framesReceived: 1 });
    });

    it('does not come to the next owner, nor in a later ownership', async () => {
      const owner = await serve({ prefetch: 1 });
      const { link: holder } = await join();
      for (const frame of frames(1, 3)) holder.send(PARTITION, bytes(frame));
      await owner.server.until(() => owner.server.frames.length === 1);
      await reached(holder);
      owner.link.echo(1); // it waits behind unacknowledged frames
      owner.server.onLost = () => (owner.server.onFrame = (delivery) => delivery.ack());
      owner.link.abandon();
      const next = await serve();
      const all = () => [...owner.server.frames.slice(1), ...next.server.frames];
      const look = [owner.server, next.server].map((server) => server.until(() => all().length >= 3));
      await Promise.race(look);
      holder.send(PARTITION, bytes('last'));
      await Promise.race([owner.server, next.server].map((server) => server.until(() => all().length >= 4)));
      expect(all()).toEqual(['1', '2', '3', 'last']);
      const events = [...owner.server.events, ...next.server.events];
      expect(events.filter((event) => event.startsWith('echo'))).toEqual([]);
    });

    it('is not sent under an ownership that has ended', async () => {
      const { server, link } = await serve();
      link.echo(0);
      await server.until(() => server.events.length === 1);
      link.abandon();
      expect(link.echo(1)).toBe(false);
      await server.until(() => server.lostTurns === 1);
      // The next ownership sends its own.
      while (!link.echo(2)) await new Promise((resolve) => setImmediate(resolve));
      await server.until(() => server.events.length === 3);
      expect(server.events).toEqual(['echo 0', 'lost', 'echo 2']);
    });
  });

  /**
   * The holder's frames have reached the broker when another partition's owner has a later one.
   */
  async function reached(holder: { send(partition: number, bytes: Uint8Array): boolean }): Promise<void> {
    const { server } = await serve({ partition: OTHER_PARTITION });
    holder.send(OTHER_PARTITION, bytes('fence'));
    await server.until(() => server.frames.includes('fence'));
  }
}
