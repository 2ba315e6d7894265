/**
 * The broker's contract on queues of sessions: who makes them, who consumes them, in which order, and their
 * end.
 */
import { describe, expect, it } from 'vitest';
import { sessionPrefetch } from '#broker';
import { bytes, frames, PARTITION, stage, type Joined, type MakeExchange } from './broker.parties.js';

const options = { maxWaiting: 100, ttlMs: 600_000 };

export function sessionsContract(makeExchange: MakeExchange): void {
  const { serve, join, newParty } = stage(makeExchange);

  const put = async ({ link }: Joined, session: string, ...texts: string[]) => {
    for (const text of texts) expect(await link.enqueue(session, bytes(text), options)).toBe('queued');
  };

  describe('queues of sessions', () => {
    it('keep frames until an owner opens them, and deliver them in order, two at a time', async () => {
      const { server, link } = await serve();
      const joined = await join();
      await put(joined, 's', ...frames(1, 10));
      expect(server.frames).toEqual([]);
      link.openQueue('s');
      await server.until(() => server.frames.length === sessionPrefetch);
      joined.link.send(PARTITION, bytes('a later frame'));
      await server.until(() => server.frames.length === sessionPrefetch + 1);
      expect(server.frames).toEqual(['1', '2', 'a later frame']);

      server.onFrame = (delivery) => delivery.ack();
      for (const delivery of [...server.deliveries]) delivery.ack();
      await server.until(() => server.frames.length === 11);
      expect(server.deliveries.map(({ session }) => session)).toEqual([
        's',
        's',
        undefined,
        ...frames(3, 10).map(() => 's'),
      ]);
      expect(server.frames.slice(3)).toEqual(frames(3, 10));
    });

    it('are kept apart', async () => {
      const { server, link } = await serve();
      const joined = await join();
      await put(joined, 'one', 'for one');
      await put(joined, 'other', 'for the other');
      link.openQueue('other');
      await server.until(() => server.frames.length === 1);
      link.openQueue('one');
      await server.until(() => server.frames.length === 2);
      expect(server.deliveries.map(({ session }) => session)).toEqual(['other', 'one']);
      expect(server.frames).toEqual(['for the other', 'for one']);
    });

    it('take the frames of several holders, and refuse those beyond the limit', async () => {
      await serve();
      const [first, second] = [await join('h1'), await join('h2')];
      const two = { ...options, maxWaiting: 2 };
      const asked: string[] = [];
      // The count may miss the newest frame of each holder.
      while (!asked.includes('full') && asked.length < 20)
        for (const { link } of [first, second]) asked.push(await link.enqueue('s', bytes('1'), two));
      expect(asked.filter((one) => one === 'queued').length).toBeGreaterThanOrEqual(2);
      expect(asked.filter((one) => one === 'queued').length).toBeLessThanOrEqual(4);
      expect(asked).toContain('full');
      expect(await second.link.enqueue('another', bytes('4'), two)).toBe('queued');
    });

    it('deliver nothing after they are closed, and continue when they are opened again', async () => {
      const { server, link } = await serve();
      server.onFrame = (delivery) => delivery.ack();
      const joined = await join();
      await put(joined, 's', '1');
      link.openQueue('s');
      await server.until(() => server.frames.length === 1);
      link.closeQueue('s');
      // The channel keeps its order. When this frame has arrived, the queue is closed.
      link.send(joined.client.queue, bytes('closed'));
      await joined.client.until(() => joined.client.frames.length === 1);
      await put(joined, 's', '2', '3');
      joined.link.send(PARTITION, bytes('witness'));
      await server.until(() => server.frames.includes('witness'));
      expect(server.frames).toEqual(['1', 'witness']);
      link.openQueue('s');
      await server.until(() => server.frames.length === 4);
      expect(server.frames).toEqual(['1', 'witness', '2', '3']);
    });

    it('are reported when they do not exist', async () => {
      const { server, link } = await serve();
      link.openQueue('nowhere');
      await server.until(() => server.events.includes('gone nowhere'));
      // The ownership continues.
      const { link: holder } = await join();
      holder.send(PARTITION, bytes('on'));
      await server.until(() => server.frames.length === 1);
      expect(server.lostTurns).toBe(0);
    });

    it('give unacknowledged frames to the next owner, in their order and before newer ones', async () => {
      const party = await newParty();
      const { server: first, link } = await serve({ party });
      const { server: second, link: next } = await serve();
      const joined = await join();
      await put(joined, 's', ...frames(1, 5));
      link.openQueue('s');
      await first.until(() => first.frames.length === 2);
      party.cut();
      joined.link.send(PARTITION, bytes('knock'));
      await second.until(() => second.frames.includes('knock'));
      next.openQueue('s');
      second.onFrame = (delivery) => delivery.ack();
      await second.until(() => second.frames.length === 6);
      expect(second.frames).toEqual(['knock', ...frames(1, 5)]);
    });

    it('take nothing from a holder without a connection', async () => {
      await serve();
      const { party, client, link } = await join();
      const isAsked = new Promise<string>((resolve) => {
        client.onDisconnected = () => void link.enqueue('s', bytes('lost'), options).then(resolve);
      });
      party.cut();
      expect(await isAsked).toBe('lost');
      await client.until(() => client.queues.length === 2);
      expect(await link.enqueue('s', bytes('there'), options)).toBe('queued');
    });
  });
}
