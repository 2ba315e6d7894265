/** The gateway against small upstreams: some work, some are absent, some break off. */
import { once } from 'node:events';
import { createServer, request, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startGateway, type Gateway } from './gateway.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function upstream(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => (server.closeAllConnections(), server.close()));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

async function gateway(...urls: string[]): Promise<Gateway> {
  const started = await startGateway(urls);
  cleanups.push(() => started.close(0));
  return started;
}

const named = (name: string) => upstream((_request, response) => response.end(name));
const read = async (url: string, init?: RequestInit) => (await fetch(url, init)).text();

/** An address without a listener. */
async function nowhere(): Promise<string> {
  const { url, server } = await named('closed at once');
  server.close();
  await once(server, 'close');
  return url;
}

describe('the gateway', () => {
  it('sends requests to the upstreams in turn', async () => {
    const { url } = await gateway((await named('a')).url, (await named('b')).url, (await named('c')).url);
    const answers: string[] = [];
    for (let count = 0; count < 6; count++) answers.push(await read(url));
    expect(answers).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  it('sends requests of one affinity to one upstream, or to the next one when that is down', async () => {
    const [a, b, c] = [await named('a'), await named('b'), await named('c')];
    const { url } = await gateway(a.url, b.url, c.url);
    const of = (affinity: string) => read(url, { headers: { 'x-affinity': affinity } });
    const first = await of('visitor 1');
    expect([await of('visitor 1'), await of('visitor 1')]).toEqual([first, first]);
    const others = ['visitor 2', 'visitor 3', 'visitor 4'].map((visitor) => of(visitor));
    expect(new Set([first, ...(await Promise.all(others))]).size).toBe(3);

    const { url: another } = await gateway(await nowhere(), await nowhere(), a.url);
    expect(await read(another, { headers: { 'x-affinity': 'visitor 1' } })).toBe('a');
  });

  it('passes method, path, body, status and headers, without headers of one connection', async () => {
    const { url: target } = await upstream((incoming, response) => {
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.writeHead(418, 'Teapot', { 'x-hop': 'no', connection: 'x-hop' });
      incoming.setEncoding('utf8').once('data', (body) => {
        response.end(JSON.stringify([incoming.method, incoming.url, body, incoming.headers]));
      });
    });
    const { url } = await gateway(target);
    const outgoing = request(`${url}/cart?full=1`, {
      method: 'POST',
      headers: { 'x-id': '7', cookie: 's=1', 'x-hop': 'no', te: 'trailers', connection: 'keep-alive, x-hop' },
    });
    outgoing.end('{"a":1}');
    const [response] = await once(outgoing, 'response');
    const [method, path, body, headers] = JSON.parse((await response.toArray()).join(''));

    expect([method, path, body]).toEqual(['POST', '/cart?full=1', '{"a":1}']);
    expect(headers).toMatchObject({ 'x-id': '7', cookie: 's=1', host: new URL(url).host });
    expect(headers).not.toHaveProperty('x-hop');
    expect(headers).not.toHaveProperty('te');
    expect([response.statusCode, response.statusMessage]).toEqual([418, 'Teapot']);
    expect(response.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(response.headers).not.toHaveProperty('x-hop');
  });

  it('streams the first half of an answer before the upstream writes the second', async () => {
    let finish = () => {};
    const { url: target } = await upstream((_request, response) => {
      response.write('first');
      finish = () => response.end('second');
    });
    const { url } = await gateway(target);
    const reader = (await fetch(url)).body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toBe('first');
    finish();
    expect((await reader.read()).value).toBe('second');
  });

  it('frames the body of a DELETE, so that it cannot become another request', async () => {
    const seen: string[] = [];
    const { url: target } = await upstream((incoming, response) => {
      seen.push(incoming.method!);
      incoming.setEncoding('utf8').on('data', (body) => seen.push(body));
      incoming.on('end', () => response.end());
    });
    const { url } = await gateway(target);
    const outgoing = request(url, { method: 'DELETE', headers: { 'transfer-encoding': 'chunked' } });
    outgoing.end('GET /smuggled HTTP/1.1\r\n\r\n');
    await once(outgoing, 'response');
    expect(seen).toEqual(['DELETE', 'GET /smuggled HTTP/1.1\r\n\r\n']);
  });

  it('sends the whole body to the next upstream when one cannot be reached', async () => {
    const { url: echo } = await upstream((incoming, response) => incoming.pipe(response));
    const { url } = await gateway(await nowhere(), await nowhere(), echo);
    expect(await read(url, { method: 'POST', body: 'still whole' })).toBe('still whole');
  });

  it('answers 502 when none can be reached', async () => {
    const { url } = await gateway(await nowhere(), await nowhere());
    const response = await fetch(url);
    expect(response.status).toBe(502);
    expect(await response.json()).toEqual({
      statusCode: 502,
      message: 'Bad gateway: no upstream can be reached',
    });
  });

  it('does not repeat a request that an upstream may have carried out', async () => {
    let times = 0;
    const dying = () => upstream((incoming) => (times++, incoming.socket.destroy()));
    const [one, other] = [await dying(), await dying()];
    const { url } = await gateway(one.url, other.url);
    const response = await fetch(url, { method: 'POST', body: 'buy' });
    expect(response.status).toBe(502);
    expect(await response.text()).toContain(`the upstream ${one.url} broke off`);
    expect(times).toBe(1);
  });

  it('breaks off an answer when its upstream does', async () => {
    const { url: target } = await upstream((_request, response) => {
      response.write('half', () => response.destroy());
    });
    const { url } = await gateway(target);
    await expect(read(url)).rejects.toThrow('terminated');
  });

  it('breaks off the request when its client hangs up', async () => {
    const { url: target, server } = await upstream(() => {});
    const { url } = await gateway(target);
    const arrived = once(server, 'request');
    const client = connect(Number(new URL(url).port), '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: shop\r\n\r\n');
    const [, response] = await arrived;
    client.destroy();
    await once(response, 'close');
    expect(response.writableFinished).toBe(false);
  });

  it('lets running requests finish when it closes', async () => {
    const { url: target, server } = await upstream(() => {});
    const { url, close } = await gateway(target);
    const arrived = once(server, 'request');
    const answer = fetch(url);
    const [, response] = await arrived;
    const closed = close();
    response.end('done');
    expect(await (await answer).text()).toBe('done');
    await closed;
    await expect(fetch(url)).rejects.toThrow('fetch failed');
  });
});
