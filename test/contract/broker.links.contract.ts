/** The broker's contract on links: their connections, their calls, and their end. */
import { describe, expect, it, vi } from 'vitest';
import {
  bytes,
  frames,
  OTHER_PARTITION,
  PARTITION,
  RecordingClient,
  RecordingServer,
  stage,
  type MakeExchange,
} from './broker.parties.js';

export function linksContract(makeExchange: MakeExchange): void {
  const { newParty, serve, join } = stage(makeExchange);

  describe('connections', () => {
    it('tells a holder of the cut, and opens a queue with another name', async () => {
      const { link } = await serve();
      const { party, client } = await join();
      const [before] = client.queues;
      party.cut();
      await client.until(() => client.queues.length === 2);
      expect(client.events).toEqual(['connected', 'disconnected', 'connected']);
      expect(client.queue).not.toBe(before);
      expect(link.send(before!, bytes('to nobody'))).toBe(true);
      link.send(client.queue, bytes('to the new queue'));
      await client.until(() => client.frames.length === 1);
      expect(client.frames).toEqual(['to the new queue']);
    });

    it('tells a server of the cut, and lets it serve again', async () => {
      const { party, server } = await serve();
      const { link } = await join();
      link.send(PARTITION, bytes('1'));
      await server.until(() => server.frames.length === 1);
      party.cut();
      await server.until(() => server.frames.length === 2);
      expect(server.events).toEqual(['1', 'lost', '1']);
      expect(party.broker.counters.reconnects).toBe(1);
    });

    it('returns false from `send` without a connection, and loses the frame', async () => {
      const { server } = await serve();
      const { party, client, link } = await join();
      let sent: boolean | undefined;
      client.onDisconnected = () => (sent = link.send(PARTITION, bytes('lost')));
      party.cut();
      await client.until(() => client.queues.length === 2);
      expect(sent).toBe(false);
      expect(link.send(PARTITION, bytes('found'))).toBe(true);
      await server.until(() => server.frames.length === 1);
      expect(server.frames).toEqual(['found']);
    });

    it('reports a missing queue when a frame is sent there, and continues', async () => {
      const { link, store } = await serve();
      const { client } = await join();
      const { party: leaving, client: gone } = await join('h2');
      await leaving.broker.close();
      // RabbitMQ may remove the queue some time after it has closed the connection. Then it drops what came
      // meanwhile, and reports nothing.
      await vi.waitFor(() => {
        expect(link.send(gone.queue, bytes('to nobody'))).toBe(true);
        expect(store.unreached).toContain(gone.queue);
      }, 10_000);
      link.send(client.queue, bytes('to somebody'));
      await client.until(() => client.frames.length === 1);
      expect(client.frames).toEqual(['to somebody']);
      expect(new Set(store.unreached)).toEqual(new Set([gone.queue]));
    });

    it('carries several partitions and holders over one party', async () => {
      const party = await newParty();
      const { server } = await serve({ party, partition: PARTITION });
      const { server: other } = await serve({ party, partition: OTHER_PARTITION });
      const { client, link } = await join('h1', party);
      party.cut();
      await client.until(() => client.queues.length === 2);
      await server.until(() => server.lostTurns === 1);
      await other.until(() => other.lostTurns === 1);
      link.send(PARTITION, bytes('1'));
      link.send(OTHER_PARTITION, bytes('2'));
      await server.until(() => server.frames.length === 1);
      await other.until(() => other.frames.length === 1);
      expect([server.events, other.events]).toEqual([
        ['lost', '1'],
        ['lost', '2'],
      ]);
    });
  });

  describe('calls', () => {
    it('makes no call before the promise of the link has resolved', async () => {
      const { party: leaving, server: leaver } = await serve({ prefetch: 1 });
      const { link: holder } = await join();
      for (const frame of frames(1, 10)) holder.send(PARTITION, bytes(frame));
      await leaver.until(() => leaver.frames.length === 1);
      await leaving.broker.close();

      const { broker } = await newParty();
      const server = new RecordingServer();
      let inLine = false;
      server.onFrame = () => expect(inLine).toBe(true);
      await broker.serve(PARTITION, { prefetch: 1 }, server).then(() => (inLine = true));
      await server.until(() => server.frames.length === 1);

      const client = new RecordingClient();
      let joined = false;
      client.onConnected = () => expect(joined).toBe(true);
      await broker.join('h2', client).then(() => (joined = true));
      await client.until(() => client.queues.length === 1);
    });

    it('makes no call from inside a call', async () => {
      const { server, link } = await serve({ prefetch: 2 });
      const { client, link: holder } = await join();
      let inside = false;
      const enter = (body: () => void) => {
        expect(inside).toBe(false);
        inside = true;
        body();
        inside = false;
      };
      server.onFrame = (delivery) => {
        enter(() => {
          link.send(client.queue, delivery.bytes);
          if (server.frames.length === 5) link.abandon();
          delivery.ack();
        });
      };
      server.onLost = () => enter(() => link.send(client.queue, bytes('lost')));
      client.onFrame = () => enter(() => client.frames.length < 5 && holder.send(PARTITION, bytes('more')));
      enter(() => frames(1, 5).forEach((frame) => holder.send(PARTITION, bytes(frame))));
      await server.until(() => server.lostTurns === 1 && server.frames.length >= 10);
    });

    it('makes no call after close() has begun', async () => {
      const { party, server } = await serve();
      const { party: holding, client, link } = await join();
      for (const frame of frames(1, 10)) link.send(PARTITION, bytes(frame));
      await server.until(() => server.frames.length === 10);
      const serverHeard = server.events.length;
      const clientHeard = client.events.length;
      await Promise.all([party.broker.close(), holding.broker.close()]);
      expect(server.events.length).toBe(serverHeard);
      expect(client.events.length).toBe(clientHeard);
    });
  });

  describe('closing', () => {
    it('delivers the frames that a holder sent before', async () => {
      const { server } = await serve();
      const { party, link } = await join();
      for (const frame of frames(1, 500)) link.send(PARTITION, bytes(frame));
      await party.broker.close();
      await server.until(() => server.frames.length === 500);
      expect(link.send(PARTITION, bytes('too late'))).toBe(false);
    });

    it('delivers the frames and acknowledgements that a server sent before', async () => {
      const { server, link } = await serve();
      const { server: next } = await serve();
      const { client, link: holder } = await join();
      for (const frame of frames(1, 10)) holder.send(PARTITION, bytes(frame));
      await server.until(() => server.frames.length === 10);
      for (const delivery of server.deliveries.slice(0, 8)) delivery.ack();
      for (const frame of frames(1, 500)) link.send(client.queue, bytes(frame));
      await link.close();
      await client.until(() => client.frames.length === 500);
      await next.until(() => next.frames.length === 2);
      expect(next.frames).toEqual(['9', '10']);
    });

    it('refuses to serve or join afterwards, and may be closed twice', async () => {
      const { broker } = await newParty();
      await broker.close();
      await broker.close();
      await expect(broker.serve(PARTITION, { prefetch: 1 }, new RecordingServer())).rejects.toThrow('closed');
      await expect(broker.join('h1', new RecordingClient())).rejects.toThrow('closed');
    });
  });

  it('counts frames', async () => {
    const { party: serving, server } = await serve();
    const { party: holding, link } = await join();
    for (const frame of frames(1, 3)) link.send(PARTITION, bytes(frame));
    await server.until(() => server.frames.length === 3);
    await link.close();
    link.send(PARTITION, bytes('dropped'));
    expect(holding.broker.counters).toEqual({
      framesSent: 3,
      framesReceived: 0,
      framesDropped: 1,
      reconnects: 0,
    });
    expect(serving.broker.counters).toMatchObject({ framesSent: 0, framesReceived: 3 });
  });
}
