/**
 * A round-robin HTTP gateway: each request goes to the next upstream in turn, so that one client's requests are spread
 * over all app servers. A client that would rather stay with one says so: requests with the same `x-affinity` header go
 * to the same upstream. It streams both bodies, keeps its connections, and passes everything through that is not about
 * one connection. A request that no upstream can have seen goes to the next one; one that an upstream may have seen is
 * never sent twice, for it may have been carried out: its client is told 502.
 */
import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Gateway {
  readonly url: string;
  /** Takes nothing new, lets what runs finish for `withinMs`, and cuts the rest. */
  close(withinMs?: number): Promise<void>;
}

export async function startGateway(upstreams: readonly string[], port = 0): Promise<Gateway> {
  const targets = upstreams.map((url) => new URL(url));
  // Idle connections are dropped well before an upstream would (Node: after 5 s): a request must not meet its closing.
  const agent = new Agent({ keepAlive: true, timeout: 2_000 });
  let turn = 0;

  const server = createServer((incoming, answer) => {
    const { 'x-affinity': affinity } = incoming.headers;
    const first = affinity === undefined ? turn++ : numberOf(String(affinity));
    const order = targets.map((_, index) => targets[(first + index) % targets.length]!);
    forward(incoming, answer, order, agent);
    answer.once('close', () => server.listening || setImmediate(() => server.closeIdleConnections()));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close(withinMs = 2_000) {
      const closed = once(server, 'close');
      server.close();
      const cut = setTimeout(() => server.closeAllConnections(), withinMs);
      await closed;
      clearTimeout(cut);
      agent.destroy();
    },
  };
}

/** Sends `incoming` to the first of `upstreams` that can be reached, and its answer back. */
function forward(
  incoming: IncomingMessage,
  answer: ServerResponse,
  [upstream, ...others]: readonly URL[],
  agent: Agent,
): void {
  if (!upstream) return refuse(answer, 'no upstream can be reached');

  const outgoing = request(upstream, {
    agent,
    method: incoming.method,
    path: incoming.url,
    headers: forRequest(incoming),
  });
  let sent = false;
  const send = () => {
    sent = true;
    incoming.pipe(outgoing);
  };
  // Until there is a connection nothing of the request is read or sent, so another upstream can still have all of it.
  outgoing.on('socket', (socket: Socket) => (socket.connecting ? socket.once('connect', send) : send()));
  outgoing.on('response', (response) => {
    answer.writeHead(response.statusCode!, response.statusMessage, endToEnd(response));
    response.pipe(answer);
    response.on('error', () => answer.destroy()); // broken off: the client must not take it for whole
  });
  outgoing.on('error', (error) => {
    if (answer.destroyed) return;
    if (!sent) forward(incoming, answer, others, agent);
    else if (answer.headersSent) answer.destroy();
    else refuse(answer, `the upstream ${upstream.origin} broke off: ${error.message}`);
  });
  answer.on('close', () => outgoing.destroy()); // the client went away, or all is done
}

/** The same number for the same text. */
function numberOf(text: string): number {
  return Buffer.from(text).reduce((sum, byte) => (sum * 31 + byte) >>> 0, 0);
}

function refuse(answer: ServerResponse, why: string): void {
  answer.writeHead(502, { 'content-type': 'application/json' });
  answer.end(JSON.stringify({ statusCode: 502, message: `Bad gateway: ${why}` }));
}

const ofOneConnection =
  /^(connection|keep-alive|proxy-(connection|authenticate|authorization)|te|trailer|transfer-encoding|upgrade)$/i;

/** The headers that are for the other end: not those of one connection, nor those that `Connection` names. */
function endToEnd({ rawHeaders, headers }: IncomingMessage): string[] {
  const named = new Set(headers.connection?.split(',').map((name) => name.trim().toLowerCase()));
  const passed: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name, value] = [rawHeaders[index]!, rawHeaders[index + 1]!];
    if (!ofOneConnection.test(name) && !named.has(name.toLowerCase())) passed.push(name, value);
  }
  return passed;
}

/** A body of unknown length stays one: without this, Node would send a DELETE's unframed, as a request of its own. */
const forRequest = (incoming: IncomingMessage) =>
  incoming.headers['transfer-encoding']
    ? [...endToEnd(incoming), 'transfer-encoding', 'chunked']
    : endToEnd(incoming);
