/**
 * What is held back of a response, over real sockets, and what Node, its frameworks and handlers find
 * meanwhile.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer as createHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { ResponseHead, type PlatformResponse } from './response-head.js';

let close = () => {};
afterEach(() => close());

interface Exchange {
  readonly response: ServerResponse;
  readonly head: ResponseHead;
  /** How often the head was urgent. */
  urgent: number;
  readonly answer: Promise<Response>;
}

async function exchange(cookie: string | undefined = 'sid=1'): Promise<Exchange> {
  const server = createServer();
  close = () => {
    server.close();
    server.closeAllConnections();
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const arrived = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
  const answer = fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [, response] = await arrived;
  response.setHeader('x-before', 'kept');
  const head = new ResponseHead(response, () => cookie);
  const its = { response, head, urgent: 0, answer };
  head.hold({ onUrgent: () => its.urgent++, givesWay: () => false });
  return its;
}

it('while it is held back an answer looks as if it were sent', async () => {
  const { response, head, answer } = await exchange();
  response.statusCode = 202;
  response.setHeader('x-own', 'own');
  response.end('done');
  expect([response.headersSent, response.writableEnded, head.isHeld, head.hasLeft]).toEqual([
    true,
    true,
    true,
    false,
  ]);
  expect(() => response.setHeader('x-late', 'late')).toThrow('after they are sent');
  expect(() => response.removeHeader('x-own')).toThrow('after they are sent');
  expect(() => response.writeHead(200)).toThrow(expect.objectContaining({ code: 'ERR_HTTP_HEADERS_SENT' }));
  response.statusCode = 500; // of no effect any more
  head.release();
  expect([response.headersSent, head.isHeld, head.hasLeft]).toEqual([true, false, true]);
  const { status, headers } = await answer;
  expect([status, headers.get('x-own'), headers.get('set-cookie')]).toEqual([202, 'own', 'sid=1']);
  expect(await (await answer).text()).toBe('done');
});

it('a producer that heeds what write returns waits for the release', async () => {
  const { response, head, answer } = await exchange();
  let produced = 0;
  const source = Readable.from(
    (function* () {
      for (; produced < 100; produced++) yield 'x'.repeat(10_000);
    })(),
    { objectMode: false, highWaterMark: 10_000 },
  );
  source.pipe(response);
  for (let turn = 0; turn < 10; turn++) await nextTurn();
  expect(produced).toBeLessThan(5);
  head.release();
  expect(await (await answer).text()).toHaveLength(1_000_000);
});

it('is urgent once, and only when more than a head is held in the next turn', async () => {
  const its = await exchange();
  its.response.writeHead(200);
  await nextTurn();
  expect(its.urgent).toBe(0);
  its.response.write('a');
  its.response.write('b');
  await nextTurn();
  await nextTurn();
  expect(its.urgent).toBe(1);
  its.head.release();
  its.response.end('c');
  expect(await (await its.answer).text()).toBe('abc');
});

it.each<[string, Parameters<ServerResponse['writeHead']>[1]]>([
  ['none', {}],
  ['an object with a cookie', { 'set-cookie': 'theme=dark' }],
  ['an object with cookies', { 'Set-Cookie': ['theme=dark', 'a=b'] }],
  ['a list with a cookie', ['x-one', '1', 'Set-Cookie', 'theme=dark'] as never],
  ['a list with cookies', ['Set-Cookie', 'theme=dark', 'set-cookie', 'a=b'] as never],
])('the cookie joins the headers that are given with the head: %s', async (_what, headers) => {
  const { response, head, answer } = await exchange();
  response.writeHead(200, headers).end();
  head.release();
  const { headers: got } = await answer;
  const given = [headers]
    .flat(2)
    .flatMap((each) => (typeof each === 'object' ? Object.values(each).flat() : each));
  const expected = given.filter((each) => String(each).includes('=')).concat('sid=1');
  expect([got.getSetCookie(), got.get('x-before')]).toEqual([expected, 'kept']);
});

it('what is discarded leaves no trace, nor does what is written afterwards', async () => {
  const { response, head, answer } = await exchange();
  const source = new Readable({ read() {} });
  response.writeHead(302, 'Elsewhere', { location: '/elsewhere', 'x-before': 'changed' });
  source.pipe(response);
  source.push('own');
  await nextTurn();
  head.discard();
  expect([response.headersSent, source.destroyed]).toEqual([false, true]);
  response.statusCode = 413;
  response.end('an error');
  const told = new Promise((resolve) => response.write('late', resolve));
  response.end();
  expect(await told).toBeInstanceOf(Error);
  const { status, statusText, headers } = await answer;
  expect([status, statusText, headers.get('location')]).toEqual([413, 'Payload Too Large', null]);
  expect([headers.get('x-before'), headers.get('set-cookie')]).toEqual(['kept', 'sid=1']);
  expect(await (await answer).text()).toBe('an error');
});

it('an answer that comes after the release leaves at once, and asks for its cookie then', async () => {
  const { response, head, answer } = await exchange();
  head.release();
  expect(head.hasLeft).toBe(false);
  response.write('at ');
  expect(head.hasLeft).toBe(true);
  response.end('once');
  expect((await answer).headers.getSetCookie()).toEqual(['sid=1']);
  expect(await (await answer).text()).toBe('at once');
});

it('HTTP/2 is held back in the same way', async () => {
  const server = createHttp2();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  close = () => {
    client.destroy();
    server.close();
  };
  const arrived = once(server, 'request') as Promise<[unknown, PlatformResponse]>;
  const request = client.request({ ':path': '/' });
  const answered = once(request, 'response') as Promise<[Record<string, unknown>]>;
  const [, response] = await arrived;
  const head = new ResponseHead(response, () => 'sid=1');
  head.hold({ onUrgent: () => {}, givesWay: () => false });
  response.writeHead(201, { 'x-own': 'own' });
  response.write('held ');
  response.end('back');
  expect(response.headersSent).toBe(true);
  head.release();
  expect((await answered)[0]).toMatchObject({ ':status': 201, 'x-own': 'own', 'set-cookie': ['sid=1'] });
  expect(await text(request)).toBe('held back');
});
