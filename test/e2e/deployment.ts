/**
 * A deployment for one suite: a store and app servers as processes of their own, with queues and a data directory that
 * nobody else has. Whatever is started through it is gone after `stop`.
 */
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { removeAmqpDeployment } from '#broker';
import { partitionOf } from '#protocol';
import { startProcess, type ProcessOptions, type RunningProcess } from '../../scripts/processes.js';
import { BrokerSide } from './broker-side.js';

type Env = Readonly<Record<string, string>>;

/** What app servers run on. */
type Platform = 'express' | 'fastify';

/** Where requests for locks wait. */
export type Layout = 'partitioned' | 'per-session';

/** For suites about locks: each platform, and each layout of the queues. */
export const settings = [
  { platform: 'express', queues: 'partitioned' },
  { platform: 'fastify', queues: 'partitioned' },
  { platform: 'express', queues: 'per-session' },
  { platform: 'express', queues: 'partitioned', queueType: 'quorum' },
] as const;

export interface Program extends RunningProcess {
  /** Resolves when a line of its output matches, one from before included. Rejects when the program ends without it. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
}

export class Deployment {
  private readonly programs: Program[] = [];

  private constructor(
    readonly brokerUrl: string,
    readonly broker: BrokerSide,
    readonly partitions: number,
    private readonly directory: string,
    readonly prefix: string,
    private readonly platform: Platform,
    private readonly queues: Layout,
    private readonly queueType: 'classic' | 'quorum',
  ) {}

  /** Starts nothing yet. */
  static async create({
    partitions = 4,
    platform = 'express',
    queues = (process.env.QUEUES as Layout | undefined) ?? 'partitioned',
    queueType = 'classic',
    url = process.env.AMQP_URL,
  }: {
    partitions?: number;
    platform?: Platform;
    queues?: Layout;
    /** Of the partitions' queues. */
    queueType?: 'classic' | 'quorum';
    url?: string | undefined;
  } = {}): Promise<Deployment> {
    if (!url) throw new Error('AMQP_URL is not set. Run the tests by `npm test`, which brings a broker.');
    const prefix = `e2e-${randomUUID()}`;
    const directory = await mkdtemp(join(tmpdir(), 'locked-session-e2e-'));
    const broker = await BrokerSide.open(url, prefix, partitions);
    return new Deployment(url, broker, partitions, directory, prefix, platform, queues, queueType);
  }

  /** A store that is started again finds the data of the one before. */
  store(env: Env = {}, ready = /the store is ready/): Promise<Program> {
    return this.start({ name: 'store', script: 'dist/apps/store/src/main.js', env: this.env(env), ready });
  }

  async server(name: string, env: Env = {}): Promise<AppServer> {
    const script = 'dist/test/e2e/app-server.js';
    const servers = this.env({ PLATFORM: this.platform, QUEUES: this.queues, ...env });
    return new AppServer(await this.start({ name, script, env: servers, ready: listening }));
  }

  /** Returns its URL. */
  async shop(name: string): Promise<string> {
    const env = {
      ...this.env(),
      PORT: '0',
      QUEUES: this.queues,
      SERVER_NAME: name,
      SESSION_SECRET: 'a secret of this deployment',
    };
    const shop = await this.start({ name, script: 'dist/apps/shop/src/main.js', env, ready: listening });
    return shop.match[1]!;
  }

  async stop(): Promise<void> {
    await Promise.all(this.programs.map((program) => program.kill('SIGKILL')));
    await this.broker.close();
    await removeAmqpDeployment(this.brokerUrl, this.prefix, this.partitions);
    await rm(this.directory, { recursive: true });
  }

  /** What the store's program is told; the servers leave what they do not know. */
  env(more: Env = {}): Env {
    return {
      AMQP_URL: this.brokerUrl,
      AMQP_PREFIX: this.prefix,
      PARTITIONS: `${this.partitions}`,
      STORE_PARTITIONS: `${this.partitions}`,
      STORE_DIRECTORY: this.directory,
      AMQP_QUEUE_TYPE: this.queueType,
      ...more,
    };
  }

  /** Resolves when a request for `session` waits at the server, and the store knows of it. */
  async untilWaiting(server: AppServer, session: Session): Promise<void> {
    await server.untilWaiting(1);
    // What the server says to one partition arrives in order: when something later is answered, so much is known.
    await server.send(this.besides(session), 'POST a', 'later');
  }

  /** Another session in the same partition. */
  private besides(session: Session): Session {
    const partition = ({ 'x-session': id }: Session) => partitionOf(id!, this.partitions);
    for (;;) {
      const other = newSession();
      if (partition(other) === partition(session)) return other;
    }
  }

  private async start(options: ProcessOptions): Promise<Program> {
    const lines = new EventEmitter().setMaxListeners(0);
    const running = await startProcess({ ...options, log: (line) => lines.emit('line', line) });
    const { name, stopped, output } = running;
    const says = async (pattern: RegExp) => {
      for (let ended = false; ;) {
        const line = once(lines, 'line').then(() => false);
        const match = pattern.exec(output());
        if (match) return match;
        if (ended) throw new Error(`${name} ended and never said ${String(pattern)}, but:\n${output()}`);
        ended = await Promise.race([line, stopped.then(() => true)]);
      }
    };
    const program = { ...running, says };
    this.programs.push(program);
    return program;
  }
}

/** For what can only be seen by looking again and again. */
export const soon = { interval: 10, timeout: 10_000 };

const listening = /listening on (http:\S+)/;

/** The headers by which an app server knows the client's session. */
export type Session = Readonly<Record<string, string>>;

export const newSession = (): Session => ({ 'x-session': randomUUID() });

/** What the handlers of app-server.ts are called by. */
export type Route = 'GET a' | 'POST a' | 'POST b' | 'POST a-then-b' | 'POST all';

export type Counters = Readonly<Record<string, number>>;

/** A handler that stays inside. */
export interface Visit {
  /** Lets it go, and resolves with its answer. */
  leave(): Promise<unknown>;
}

/** One process of app-server.ts, and what clients and the test ask of it. */
export class AppServer {
  private readonly url: string;

  constructor(readonly program: Program) {
    this.url = program.match[1]!;
  }

  /** Sends a request, and resolves with its answer. */
  async send(session: Session, route: Route, mark = ''): Promise<unknown> {
    return (await this.call(session, route, { mark })).json();
  }

  /** The status of a request that may be refused. */
  async status(session: Session, route: Route, mark = ''): Promise<number> {
    return (await this.fetch(session, route, { mark })).status;
  }

  /** Sends a request whose handler stays: resolves when it is inside. */
  enter(session: Session, route: Route, mark: string): Promise<Visit> {
    const answer = this.call(session, route, { mark, stay: 'yes' });
    const leave = async () => {
      await this.watch(`POST go/${mark}`);
      return (await answer).json();
    };
    // The handler answers when it leaves: earlier there can only be an error.
    const visit = Promise.race([answer, this.watch(`GET inside/${mark}`)]).then(() => ({ leave }));
    visit.catch(() => {}); // not for a test that has failed before it looks
    return visit;
  }

  /** The marks of the handlers that stay inside. */
  async inside(): Promise<string[]> {
    return (await this.watch('GET inside')).json() as Promise<string[]>;
  }

  /** What the library has counted since the server was started. */
  async counters(): Promise<Counters> {
    return (await this.watch('GET counters')).json() as Promise<Counters>;
  }

  /** Counts from now on: returns what tells by how much the counters have grown since. */
  async count(): Promise<() => Promise<Counters>> {
    const before = await this.counters();
    return async () => {
      const grown = Object.entries(await this.counters()).map(([name, now]) => [name, now - before[name]!]);
      return Object.fromEntries(grown) as Counters;
    };
  }

  /** Resolves when so many requests wait, for a session or for an attribute. */
  async untilWaiting(count: number): Promise<void> {
    await vi.waitFor(async () => {
      const { waiting } = await this.counters();
      if (waiting !== count)
        throw new Error(`${waiting} requests wait at ${this.program.name}, not ${count}`);
    }, soon);
  }

  /** Rejects when the status says that it failed. */
  async call(session: Session, route: string, query: Record<string, string> = {}): Promise<Response> {
    const response = await this.fetch(session, route, query);
    if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
    return response;
  }

  private fetch(session: Session, route: string, query: Record<string, string>): Promise<Response> {
    const [method, path] = route.split(' ') as [string, string];
    const url = `${this.url}/${path}?${String(new URLSearchParams(query))}`;
    return fetch(url, { method, headers: session });
  }

  private watch(route: string): Promise<Response> {
    return this.call({}, route);
  }
}
