/**
 * A deployment for one suite: a store and app servers as processes of their own, with queues and a data
 * directory for it alone. `stop` ends and removes all that was started.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { removeAmqpDeployment } from '#broker';
import { partitionOf } from '#protocol';
import {
  root,
  startProcess,
  type ProcessOptions,
  type RunningProcess,
} from '../../scripts/processes/processes.js';
import { TraceFolder, wrongIn } from '../traces/trace-folder.js';
import { BrokerSide } from './broker-side.js';

type Env = Readonly<Record<string, string>>;

/** The HTTP platform of app servers. */
type Platform = 'express' | 'fastify';

/** Where requests for locks wait. */
export type Layout = 'partitioned' | 'per-session';

/** Each platform and each layout of the queues, for suites about locks. */
export const settings = [
  { platform: 'express', queues: 'partitioned' },
  { platform: 'fastify', queues: 'partitioned' },
  { platform: 'express', queues: 'per-session' },
  { platform: 'express', queues: 'partitioned', queueType: 'quorum' },
] as const;

export interface Program extends RunningProcess {
  /**
   * Resolves when a line of its output matches, also an earlier one. Rejects when the program ends without
   * it.
   */
  says(pattern: RegExp): Promise<RegExpExecArray>;
}

interface DeploymentLayout {
  readonly partitions: number;
  readonly platform: Platform;
  readonly queues: Layout;
  /** Of the partitions' queues. */
  readonly queueType: 'classic' | 'quorum';
}

export class Deployment {
  private readonly programs: Program[] = [];
  private readonly traces: TraceFolder;

  private constructor(
    readonly brokerUrl: string,
    readonly broker: BrokerSide,
    private readonly directory: string,
    readonly prefix: string,
    private readonly layout: DeploymentLayout,
  ) {
    this.traces = new TraceFolder(`${directory}-traces`);
  }

  get partitions(): number {
    return this.layout.partitions;
  }

  /** Starts nothing yet. */
  static async create({
    partitions = 4,
    platform = 'express',
    queues = (process.env.QUEUES as Layout | undefined) ?? 'partitioned',
    queueType = 'classic',
    url = process.env.AMQP_URL,
  }: Partial<DeploymentLayout> & { url?: string | undefined } = {}): Promise<Deployment> {
    if (!url) throw new Error('AMQP_URL is not set. Run the tests by `npm test`, which brings a broker.');
    const prefix = `e2e-${randomUUID()}`;
    const directory = await mkdtemp(join(tmpdir(), 'locked-session-e2e-'));
    const broker = await BrokerSide.open(url, prefix, partitions);
    return new Deployment(url, broker, directory, prefix, { partitions, platform, queues, queueType });
  }

  /** A store. The next one finds its data. */
  store(env: Env = {}, ready = /the store is ready/, args: readonly string[] = []): Promise<Program> {
    const script = 'dist/apps/store/src/main.js';
    return this.start({ name: 'store', script, args, env: this.env(env), ready });
  }

  async server(name: string, env: Env = {}): Promise<AppServer> {
    const script = 'dist/test/e2e/app-server.js';
    const servers = this.env({ PLATFORM: this.layout.platform, QUEUES: this.layout.queues, ...env });
    return new AppServer(await this.start({ name, script, env: servers, ready: listening }));
  }

  /** An application that only the library keeps alive (lone-app.ts). */
  lone(scene: string, ready = /^lone: /): Promise<Program> {
    const script = 'dist/test/e2e/lone-app.js';
    return this.start({ name: 'lone', script, args: [scene], env: this.env(), ready });
  }

  /** Returns its URL. */
  async shop(name: string): Promise<string> {
    const env = {
      ...this.env(),
      PORT: '0',
      QUEUES: this.layout.queues,
      SERVER_NAME: name,
      SESSION_SECRET: 'a secret of this deployment',
    };
    const shop = await this.start({ name, script: 'dist/apps/shop/src/main.js', env, ready: listening });
    return shop.match[1]!;
  }

  /** What `locked-session verify` finds in the traces of all processes so far, and what it does not know. */
  async wrongInTraces(): Promise<string[]> {
    return wrongIn(await this.traces.verify());
  }

  async stop(): Promise<void> {
    await Promise.all(this.programs.map((program) => program.kill('SIGKILL')));
    await this.broker.close();
    await removeAmqpDeployment(this.brokerUrl, this.prefix, this.partitions);
    for (const directory of [this.directory, this.traces.directory])
      await rm(directory, { recursive: true, force: true });
  }

  /** The settings of the store's program. App servers ignore the unknown ones. */
  env(more: Env = {}): Env {
    return {
      AMQP_URL: this.brokerUrl,
      AMQP_PREFIX: this.prefix,
      PARTITIONS: `${this.partitions}`,
      STORE_PARTITIONS: `${this.partitions}`,
      STORE_DIRECTORY: this.directory,
      AMQP_QUEUE_TYPE: this.layout.queueType,
      ...this.traces.env,
      ...more,
    };
  }

  /** Resolves when a request for `session` waits at the server, and the store knows of it. */
  async untilWaiting(server: AppServer, session: Session): Promise<void> {
    await server.untilWaiting(1);
    // A server's frames to a partition keep their order. So the store knows the waiter when it answers a
    // later request.
    await server.send(this.besides(session), 'POST a', 'later');
  }

  partitionOf({ 'x-session': id }: Session): number {
    return partitionOf(id!, this.partitions);
  }

  /** Another session in the same partition. */
  private besides(session: Session): Session {
    for (;;) {
      const other = newSession();
      if (this.partitionOf(other) === this.partitionOf(session)) return other;
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

/** For polls. */
export const soon = { interval: 10, timeout: 10_000 };

const listening = /listening on (http:\S+)/;

/** The headers by which an app server knows the client's session. */
export type Session = Readonly<Record<string, string>>;

export const newSession = (): Session => ({ 'x-session': randomUUID() });

/** The routes of app-server.ts. */
export type Route = 'GET a' | 'POST a' | 'POST b' | 'POST a-then-b' | 'POST all';

export type Counters = Readonly<Record<string, number>>;

/** A handler that stays inside. */
export interface Visit {
  /** Lets it leave, and resolves with its answer. */
  leave(): Promise<unknown>;
}

/** A process of app-server.ts, and the requests of clients and of the test. */
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

  /** Sends a request whose handler stays. Resolves when it is inside. */
  enter(session: Session, route: Route, mark: string): Promise<Visit> {
    const answer = this.call(session, route, { mark, stay: 'yes' });
    const leave = async () => {
      await this.watch(`POST go/${mark}`);
      return (await answer).json();
    };
    // The handler answers when it leaves. An earlier answer is an error.
    const visit = Promise.race([answer, this.watch(`GET inside/${mark}`)]).then(() => ({ leave }));
    visit.catch(() => {}); // a failed test may never look at it
    return visit;
  }

  /** The marks of the handlers that stay inside. */
  async inside(): Promise<string[]> {
    return (await this.watch('GET inside')).json() as Promise<string[]>;
  }

  /** The library's counters since the start of the server. */
  async counters(): Promise<Counters> {
    return (await this.watch('GET counters')).json() as Promise<Counters>;
  }

  /** Returns a function that tells by how much the counters have grown since now. */
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

  /** Rejects when the status is an error. */
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

/** Runs the store's program to its end. */
export function runStore(env: Readonly<Record<string, string>>, ...args: string[]) {
  const program = ['dist/apps/store/src/main.js', ...args];
  const options = { cwd: root, env: { ...process.env, ...env }, timeout: 30_000 };
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, program, options, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}
