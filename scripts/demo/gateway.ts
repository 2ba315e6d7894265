/**
 * A round-robin HTTP gateway: each request goes to the next upstream, so that one client's requests are
 * spread over all app servers. Requests with the same `x-affinity` header go to the same upstream. The
 * gateway streams both bodies, keeps its connections, and passes all headers that are not about one
 * connection. When an upstream cannot have seen a request, the next one gets it. When it may have seen it,
 * the client gets 502, because a repeat could be carried out twice.
 */
import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Gateway {
  readonly url: string;
  /** Takes no new request, gives running ones `withinMs`, and then cuts them. */
  close(withinMs?: number): Promise<void>;
}

export async function startGateway(upstreams: readonly string[], port = 0): Promise<Gateway> {
  const targets = upstreams.map((url) => new URL(url));
  // The gateway drops idle connections earlier than an upstream (Node: after 5 s). So no request meets its
  // closing.
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

/** Sends `incoming` to the first upstream that it reaches, and the answer back. */
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
  // Before there is a connection, nothing of the request is read. So another upstream can still get all of
  // it.
  outgoing.on('socket', (socket: Socket) => (socket.connecting ? socket.once('connect', send) : send()));
  outgoing.on('response', (response) => {
    answer.writeHead(response.statusCode!, response.statusMessage, endToEnd(response));
    response.pipe(answer);
    response.on('error', () => answer.destroy()); // broken off: the client must notice
  });
  outgoing.on('error', (error) => {
    if (answer.destroyed) return;
    if (!sent) forward(incoming, answer, others, agent);
    else if (answer.headersSent) answer.destroy();
    else refuse(answer, `the upstream ${upstream.origin} broke off: ${error.message}`);
  });
  answer.on('close', () => outgoing.destroy()); // the client hung up, or all is done
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

/** The headers for the other end: without those of one connection, and those that `Connection` names. */
function endToEnd({ rawHeaders, headers }: IncomingMessage): string[] {
  const named = new Set(headers.connection?.split(',').map((name) => name.trim().toLowerCase()));
  const passed: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name, value] = [rawHeaders[index]!, rawHeaders[index + 1]!];
    if (!ofOneConnection.test(name) && !named.has(name.toLowerCase())) passed.push(name, value);
  }
  return passed;
}

/**
 * Keeps a body of unknown length chunked. Otherwise Node would send a DELETE's unframed, as another request.
 */
const forRequest = (incoming: IncomingMessage) =>
  incoming.headers['transfer-encoding']
    ? [...endToEnd(incoming), 'transfer-encoding', 'chunked']
    : endToEnd(incoming);
