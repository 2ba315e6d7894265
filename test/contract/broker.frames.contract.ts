/** The broker's contract on frames: their order, who receives them, and until when. */
import { describe, expect, it } from 'vitest';
import type { Delivery } from '#broker';
import {
  bytes,
  frames,
  MAX_QUEUED_FRAMES,
  OTHER_PARTITION,
  PARTITION,
  stage,
  type MakeExchange,
  type Served,
} from './broker.parties.js';

export function framesContract(makeExchange: MakeExchange): void {
  const { serve, join } = stage(makeExchange);

  /**
   * A cut loses acks that are under way. They have arrived when a holder has a frame that was sent after
   * them.
   */
  const cutWhenFlushed = async ({ party, link }: Served) => {
    const { client } = await join('witness');
    link.send(client.queue, bytes('after the acks'));
    await client.until(() => client.frames.length === 1);
    party.cut();
  };

  describe('order', () => {
    it('delivers the frames of a holder to a partition in the order of sending', async () => {
      const { server } = await serve();
      const { link } = await join();
      const sent = frames(1, 500);
      for (const frame of sent) expect(link.send(PARTITION, bytes(frame))).toBe(true);
      await server.until(() => server.frames.length === sent.length);
      expect(server.frames).toEqual(sent);
    });

    it('delivers the frames of a partition to a holder in the order of sending', async () => {
      const { link } = await serve();
      const { client } = await join();
      const sent = frames(1, 500);
      for (const frame of sent) expect(link.send(client.queue, bytes(frame))).toBe(true);
      await client.until(() => client.frames.length === sent.length);
      expect(client.frames).toEqual(sent);
    });

    it('keeps partitions and holders apart', async () => {
      const { server, link } = await serve({ partition: PARTITION });
      const { server: otherServer } = await serve({ partition: OTHER_PARTITION });
      const { client, link: holder } = await join('h1');
      const { client: otherClient } = await join('h2');
      holder.send(PARTITION, bytes('for one'));
      holder.send(OTHER_PARTITION, bytes('for the other'));
      link.send(client.queue, bytes('for h1'));
      link.send(otherClient.queue, bytes('for h2'));
      await server.until(() => server.frames.length > 0);
      await otherServer.until(() => otherServer.frames.length > 0);
      await client.until(() => client.frames.length > 0);
      await otherClient.until(() => otherClient.frames.length > 0);
      expect([server.frames, otherServer.frames]).toEqual([['for one'], ['for the other']]);
      expect([client.frames, otherClient.frames]).toEqual([['for h1'], ['for h2']]);
    });

    it('carries frames of each size unchanged, also the empty one', async () => {
      const { server } = await serve();
      const { link } = await join();
      const sizes = [0, 1, 2_000, 131_072, 1_000_003];
      for (const size of sizes) link.send(PARTITION, new Uint8Array(size).fill(size % 251));
      await server.until(() => server.deliveries.length === sizes.length);
      for (const [i, size] of sizes.entries()) {
        const received = server.deliveries[i]!.bytes;
        expect(received.length).toBe(size);
        expect(received.every((byte) => byte === size % 251)).toBe(true);
      }
    });
  });

  describe('one owner', () => {
    it('delivers a partition only to the first server that serves it', async () => {
      const { server: first } = await serve();
      const { server: second } = await serve();
      const { link } = await join();
      for (const frame of frames(1, 100)) link.send(PARTITION, bytes(frame));
      await first.until(() => first.frames.length === 100);
      expect(second.frames).toEqual([]);
    });

    it.each<[string, (owner: Served) => unknown]>([
      ['abandons the partition', ({ link }) => link.abandon()],
      ['leaves the line', ({ link }) => link.close()],
      ['closes its broker', ({ party }) => party.broker.close()],
      ['is cut off', cutWhenFlushed],
    ])(
      'hands unacknowledged frames in order to the next server, before newer ones, when the owner %s',
      async (_, go) => {
        const owner = await serve();
        const { server: next } = await serve();
        const { link } = await join();
        for (const frame of frames(1, 20)) link.send(PARTITION, bytes(frame));
        await owner.server.until(() => owner.server.frames.length === 20);
        for (const delivery of owner.server.deliveries.filter((_, i) => i % 2 === 0)) delivery.ack();

        await go(owner);
        for (const frame of frames(21, 30)) link.send(PARTITION, bytes(frame));

        const unacknowledged = frames(1, 20).filter((_, i) => i % 2 === 1);
        await next.until(() => next.frames.length === 20);
        expect(next.frames).toEqual([...unacknowledged, ...frames(21, 30)]);
      },
    );

    it('gives an abandoned partition back to the same server when no other one waits', async () => {
      const { server, link } = await serve();
      const { link: holder } = await join();
      for (const frame of frames(1, 3)) holder.send(PARTITION, bytes(frame));
      await server.until(() => server.frames.length === 3);
      server.deliveries[0]!.ack();
      link.abandon();
      await server.until(() => server.frames.length === 5);
      expect(server.events).toEqual(['1', '2', '3', 'lost', '2', '3']);
    });

    it('gives the partition to each server in turn when each abandons it', async () => {
      const [one, other] = [await serve(), await serve()];
      const { link } = await join();
      for (const { server, link } of [one, other]) server.onFrame = () => link.abandon();
      link.send(PARTITION, bytes('hot'));
      await one.server.until(() => one.server.frames.length >= 2);
      await other.server.until(() => other.server.frames.length >= 2);
      expect(one.server.events.slice(0, 3)).toEqual(['hot', 'lost', 'hot']);
      expect(other.server.events.slice(0, 3)).toEqual(['hot', 'lost', 'hot']);
    });

    it('drops the rest of a delivery when its receiver abandons the partition in the middle', async () => {
      const { server, link } = await serve();
      const { link: holder } = await join();
      server.onFrame = () => {
        if (server.frames.length === 2) link.abandon();
      };
      for (const frame of frames(1, 5)) holder.send(PARTITION, bytes(frame));
      await server.until(() => server.frames.length === 7);
      expect(server.events).toEqual(['1', '2', 'lost', '1', '2', '3', '4', '5']);
    });
  });

  describe('acknowledgements', () => {
    it('leaves `prefetch` frames unacknowledged with a server at most', async () => {
      const { server } = await serve({ prefetch: 5 });
      const { link } = await join();
      const waiting: Delivery[] = [];
      let mostWaiting = 0;
      server.onFrame = (delivery) => {
        mostWaiting = Math.max(mostWaiting, waiting.push(delivery));
        // Late, so that one too many would show. Youngest first, since any order is allowed.
        if (waiting.length === 5)
          setImmediate(() =>
            waiting
              .splice(0)
              .toReversed()
              .forEach((each) => each.ack()),
          );
      };
      for (const frame of frames(1, 50)) link.send(PARTITION, bytes(frame));
      await server.until(() => server.frames.length === 50);
      expect(server.frames).toEqual(frames(1, 50));
      expect(mostWaiting).toBe(5);
    });

    it('ignores an ack of an ownership that has ended', async () => {
      const { server, link } = await serve();
      const { link: holder } = await join();
      holder.send(PARTITION, bytes('1'));
      await server.until(() => server.frames.length === 1);
      const stale = server.deliveries[0]!;
      link.abandon();
      stale.ack();
      await server.until(() => server.frames.length === 2);
      stale.ack();
      link.abandon();
      await server.until(() => server.frames.length === 3);
      expect(server.events).toEqual(['1', 'lost', '1', 'lost', '1']);
    });

    it('ignores a second ack of a delivery', async () => {
      const { server } = await serve({ prefetch: 1 });
      const { link } = await join();
      server.onFrame = (delivery) => {
        delivery.ack();
        delivery.ack();
      };
      for (const frame of frames(1, 3)) link.send(PARTITION, bytes(frame));
      await server.until(() => server.frames.length === 3);
      expect(server.events).toEqual(['1', '2', '3']);
    });
  });

  it('keeps the oldest frames when a queue is full, and refuses newer ones', async () => {
    const { server } = await serve({ prefetch: 50 });
    const { server: other } = await serve({ partition: OTHER_PARTITION });
    const { link } = await join();
    const send = (first: number, last: number) => {
      for (const frame of frames(first, last)) link.send(PARTITION, bytes(frame));
    };
    /** The broker has seen all earlier frames when another queue delivers a later one. */
    const seen = async () => {
      const before = other.frames.length;
      link.send(OTHER_PARTITION, bytes('fence'));
      await other.until(() => other.frames.length > before);
    };
    other.onFrame = (delivery) => delivery.ack();

    send(1, 50);
    await server.until(() => server.frames.length === 50);
    const fit = 50 + MAX_QUEUED_FRAMES;
    send(51, fit);
    await seen();
    // A quorum queue notices a little late that it is full. So these are many, and in portions.
    const sent = fit + 2_000;
    for (let first = fit + 1; first < sent; first += 100) {
      send(first, first + 99);
      await seen();
    }

    server.onFrame = (delivery) => delivery.ack();
    for (const delivery of server.deliveries) delivery.ack();
    while (!server.frames.includes('room again')) {
      link.send(PARTITION, bytes('room again'));
      await seen();
    }
    const waited = server.frames.slice(0, server.frames.indexOf('room again'));
    expect(waited.slice(0, fit)).toEqual(frames(1, fit));
    expect(waited.length).toBeLessThan(sent);
  });
}
