/**
 * Contestants of the row `http`. The app server is a process of its own (http-app.ts). The process of the
 * load sends its requests, each scope over a connection of its own.
 */
import { connect, type Socket } from 'node:net';
import { startProcess } from '../../../scripts/processes/processes.js';
import {
  durabilities,
  versionOf,
  type Attribute,
  type Backend,
  type Client,
  type Contestant,
  type Place,
  type Told,
} from '../contest.js';
import type { Kind } from './http-app.js';
import { startStores } from './locked-session.js';

function overHttp(kind: Kind, told: Told): Contestant {
  return {
    ...told,
    async start(place) {
      const stores =
        kind === 'locked-session' ? await startStores(place, { queueType: 'classic' }) : undefined;
      const app = await startApp(kind, place);
      return {
        address: app.match[1]!,
        app: app.pid,
        ...(stores && { store: stores.store! }),
        async close() {
          await app.kill();
          await stores?.close();
        },
      } satisfies Backend;
    },
    open: async ({ address }) => new HttpClient(new URL(address!)),
  };
}

const startApp = (kind: Kind, { servers, name }: Place) =>
  startProcess({
    name: `app (${kind})`,
    script: 'dist/test/bench/contestants/http-app.js',
    env: {
      KIND: kind,
      AMQP_URL: servers.amqp,
      AMQP_PREFIX: name,
      REDIS_URL: servers.redis,
      NODE_ENV: 'production',
    },
    ready: /^listening on (http:\S+)/,
  });

const nest = `Nest ${versionOf('@nestjs/core')} on Express`;
const connectRedis = `express-session ${versionOf('express-session')}, connect-redis ${versionOf('connect-redis')}`;

export const httpLockedSession = overHttp('locked-session', {
  what: `Locked Session in ${nest}`,
  durability: durabilities.killedStore,
  lacks: '–',
  needs: ['amqp'],
});
export const httpWithoutSession = overHttp('none', {
  what: `${nest} without a session`,
  durability: durabilities.memory,
  lacks: 'no session',
  loses: true,
  needs: [],
});
export const httpExpressSession = overHttp('express-session', {
  what: `${connectRedis}, redis ${versionOf('redis')}, in ${nest}; resave off`,
  durability: durabilities.redis,
  lacks: 'no lock: updates are lost',
  loses: true,
  needs: ['redis'],
});
export const httpRedlock = overHttp('express-session-redlock', {
  what: `the same, each request under redlock ${versionOf('redlock')}, which retries after 5 ms`,
  durability: durabilities.redis,
  lacks: 'no queue, no fencing: a paused holder overwrites newer data',
  needs: ['redis'],
});

/** The load's end. A session is known by its cookie, which its first answer has brought. */
class HttpClient implements Client {
  private readonly connections = new Map<number, Promise<HttpConnection>>();
  private readonly cookies = new Map<string, string>();

  constructor(private readonly url: URL) {}

  async read(session: string, scope: number): Promise<Attribute> {
    const connection = await this.connection(scope);
    const { body } = await connection.send('GET /cart', this.cookies.get(session));
    return JSON.parse(body) as Attribute;
  }

  async change(session: string, scope: number): Promise<undefined> {
    const connection = await this.connection(scope);
    const { body } = await connection.send('POST /cart', this.cookies.get(session));
    JSON.parse(body);
  }

  async create(session: string): Promise<void> {
    const connection = await HttpConnection.open(this.url);
    const { cookie } = await connection.send('POST /session', undefined);
    if (cookie !== undefined) this.cookies.set(session, cookie);
    connection.close();
  }

  async count(session: string): Promise<number> {
    return (await this.read(session, 0)).count;
  }

  async close(): Promise<void> {
    for (const connection of this.connections.values()) (await connection).close();
  }

  private connection(scope: number): Promise<HttpConnection> {
    let connection = this.connections.get(scope);
    if (!connection) this.connections.set(scope, (connection = HttpConnection.open(this.url)));
    return connection;
  }
}

interface HttpAnswer {
  readonly body: string;
  readonly cookie: string | undefined;
}

/**
 * A connection with one request under way. Node's own client would take more of the CPU that the app server
 * needs. It reads answers that have a Content-Length, or none of both.
 */
class HttpConnection {
  private received = '';
  private settle: { resolve(answer: HttpAnswer): void; reject(error: Error): void } | undefined;

  private constructor(
    private readonly socket: Socket,
    private readonly host: string,
  ) {
    socket.setEncoding('latin1');
    socket.setNoDelay(true);
    socket.on('data', (text) => this.read(String(text)));
    socket.on('error', (error) => this.settle?.reject(error));
    socket.on('close', () => this.settle?.reject(new Error('the app server hung up')));
  }

  static open(url: URL): Promise<HttpConnection> {
    const socket = connect(Number(url.port), url.hostname);
    return new Promise((resolve, reject) => {
      socket.once('connect', () => resolve(new HttpConnection(socket, url.host)));
      socket.once('error', reject);
    });
  }

  send(what: string, cookie: string | undefined): Promise<HttpAnswer> {
    const session = cookie === undefined ? '' : `cookie: ${cookie}\r\n`;
    const length = what.startsWith('POST') ? 'content-length: 0\r\n' : '';
    this.socket.write(`${what} HTTP/1.1\r\nhost: ${this.host}\r\n${session}${length}\r\n`);
    return new Promise((resolve, reject) => (this.settle = { resolve, reject }));
  }

  close(): void {
    this.settle = undefined;
    this.socket.destroy();
  }

  private read(text: string): void {
    this.received += text;
    const end = this.received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.received.slice(0, end + 2);
    const length = Number(/^content-length: (\d+)\r/im.exec(head)?.[1] ?? 0);
    const body = this.received.slice(end + 4);
    if (body.length < length) return;
    this.received = '';
    const { settle } = this;
    this.settle = undefined;
    if (!/^HTTP\/1\.1 20[04] /.test(head)) settle?.reject(new Error(`${head}\n${body}`));
    else settle?.resolve({ body, cookie: /^set-cookie: ([^;\r]+)/im.exec(head)?.[1] });
  }
}
