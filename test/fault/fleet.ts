/**
 * The processes that the faults strike: a RabbitMQ, stores of which one stands by, and app servers, each with
 * a proxy of its own in front of RabbitMQ. `stop` ends all that was started.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventEmitter, once } from 'node:events';
import { removeAmqpDeployment } from '#broker';
import { cleanUpOnExit } from '../../scripts/processes/exit-cleanup.js';
import { startPrivateRabbitmq } from '../../scripts/services/private-rabbitmq.js';
import { startProcess, type RunningProcess } from '../../scripts/processes/processes.js';
import { TcpProxy } from '../contract/tcp-proxy.js';
import { TraceFolder, wrongIn } from '../traces/trace-folder.js';
import { moment, visitsOf, type Attribute, type Order, type Visit } from './history.js';

type Env = Readonly<Record<string, string>>;

/**
 * An app server's answer about a scope: when it entered, the code of its error, and whether its signal was
 * aborted.
 */
export interface Answer {
  readonly entered: number;
  readonly aborted: boolean;
  readonly code?: string;
}

export interface Rabbitmq {
  readonly url: string;
  /** Undefined when the suite may not kill it. */
  readonly kill?: () => Promise<void>;
  readonly restart?: () => Promise<void>;
  stop(): Promise<void>;
}

/** A private RabbitMQ, which may be killed, if one is installed. Otherwise the one that AMQP_URL names. */
export async function findRabbitmq(): Promise<Rabbitmq> {
  try {
    return await startPrivateRabbitmq();
  } catch (error) {
    const url = process.env.AMQP_URL;
    if (!url) throw error;
    return { url, stop: async () => {} };
  }
}

export interface FleetOptions {
  readonly partitions?: number;
  /** Settings of the stores, which override those of the suite. */
  readonly store?: Env;
  readonly servers?: Env;
  /** Called with each line that a process prints. */
  readonly log?: ((line: string) => void) | undefined;
}

export class Fleet {
  readonly members = new Set<Member>();
  private readonly traces: TraceFolder;

  private constructor(
    readonly broker: Rabbitmq,
    private readonly folder: string,
    private readonly prefix: string,
    private readonly options: FleetOptions,
  ) {
    this.traces = new TraceFolder(join(folder, 'traces'));
  }

  /** Starts nothing yet. */
  static async create(broker: Rabbitmq, options: FleetOptions = {}): Promise<Fleet> {
    const folder = await mkdtemp(join(tmpdir(), 'locked-session-fault-'));
    return new Fleet(broker, folder, `fault-${randomUUID()}`, options);
  }

  /** A store that is ready, or stands by when another one is. */
  async store(name: string, env: Env = {}): Promise<Member> {
    const { partitions = 4, store = {} } = this.options;
    const settings = {
      STORE_PARTITIONS: `${partitions}`,
      STORE_DIRECTORY: join(this.folder, 'data'),
      STORE_RETRY_MIN_MS: '20',
      STORE_RETRY_MAX_MS: '500',
    };
    const script = 'dist/apps/store/src/main.js';
    return this.add(name, script, { ...settings, ...store, ...env }, /the store is ready|standing by/);
  }

  async server(name: string, env: Env = {}): Promise<AppServer> {
    const { partitions = 4, servers = {} } = this.options;
    const settings = { PARTITIONS: `${partitions}`, NOTES: this.notes(name), ...servers, ...env };
    const script = 'dist/test/fault/app-server.js';
    return new AppServer(await this.add(name, script, settings, /listening on (http:\S+)/));
  }

  /** The visits that all servers have noted so far, by the ids of their orders. */
  async visits(): Promise<Map<string, Visit>> {
    const visits = new Map<string, Visit>();
    for (const member of this.members)
      for (const visit of await this.noted(member)) visits.set(visit.id, visit);
    return visits;
  }

  /** The visits that an app server has noted in all its lives. */
  async noted({ name, lives }: Member): Promise<Visit[]> {
    const visits: Visit[] = [];
    for (let life = 1; life <= lives; life++) {
      const notes = await readFile(`${this.notes(name)}.${life}`, 'utf8').catch(() => ''); // a store has none
      visits.push(...visitsOf(notes));
    }
    return visits;
  }

  /** What `locked-session verify` finds in the traces of all processes so far, and what it does not know. */
  async wrongInTraces(): Promise<string[]> {
    return wrongIn(await this.traces.verify());
  }

  async stop(): Promise<void> {
    await Promise.all([...this.members].map((member) => member.end()));
    await removeAmqpDeployment(this.broker.url, this.prefix, this.options.partitions ?? 4);
    await rm(this.folder, { recursive: true });
  }

  private notes(name: string): string {
    return join(this.folder, `${name}.notes`);
  }

  private async add(name: string, script: string, env: Env, ready: RegExp): Promise<Member> {
    const proxy = await TcpProxy.start(this.broker.url);
    const places = { AMQP_URL: proxy.url, AMQP_PREFIX: this.prefix, ...this.traces.env };
    const member = new Member({ name, script, env: { ...env, ...places }, ready }, proxy, this.options.log);
    this.members.add(member);
    await member.start();
    return member;
  }
}

interface MemberProgram {
  readonly name: string;
  readonly script: string;
  readonly env: Env;
  /** Matches the line that says that it can be used. */
  readonly ready: RegExp;
}

/** A member of the fleet: one process after the other of the same kind. */
export class Member {
  lives = 0;
  state: 'runs' | 'paused' | 'down' | 'starting' = 'down';
  /** The last output of processes that ended by themselves. */
  readonly deaths: string[] = [];
  /** The nemesis works on it. */
  isStruck = false;
  private process: RunningProcess | undefined;
  private readonly lines = new EventEmitter().setMaxListeners(0);

  constructor(
    private readonly program: MemberProgram,
    readonly proxy: TcpProxy,
    private readonly log: ((line: string) => void) | undefined,
  ) {}

  get name(): string {
    return this.program.name;
  }

  get match(): RegExpExecArray {
    return this.process!.match;
  }

  async start(): Promise<void> {
    this.state = 'starting';
    this.lives++;
    const { name, script, env, ready } = this.program;
    const notes = env.NOTES && { NOTES: `${env.NOTES}.${this.lives}` };
    const log = (line: string) => {
      this.log?.(line);
      this.lines.emit('line', line);
    };
    const running = await startProcess({ name, script, env: { ...env, ...notes }, ready, log });
    this.process = running;
    this.state = 'runs';
    void this.watch(running);
  }

  private async watch(running: RunningProcess): Promise<void> {
    await running.stopped;
    if (this.state !== 'down') this.deaths.push(running.output().slice(-2_000));
  }

  /** Resolves when it is gone. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.state = 'down';
    await this.process?.kill(signal);
  }

  /** If this process ends before `resume`, the member continues, and then notices that end. */
  pause(): void {
    this.state = 'paused';
    const { pid } = this.process!;
    cleanUpOnExit('kill -s CONT "$1"', String(pid));
    process.kill(pid, 'SIGSTOP');
  }

  resume(): void {
    this.state = 'runs';
    process.kill(this.process!.pid, 'SIGCONT');
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.process!.pid, signal);
  }

  /** Resolves when it has printed such a line, also before the call. */
  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.process!.output())) await once(this.lines, 'line');
  }

  async end(): Promise<void> {
    this.state = 'down';
    await this.process?.kill('SIGKILL');
    await this.proxy.stop();
  }
}

export class AppServer {
  constructor(readonly member: Member) {}

  get name(): string {
    return this.member.name;
  }

  /** Runs a scope. Rejects when the connection breaks before the answer. */
  async run(order: Order): Promise<Answer> {
    const body = JSON.stringify(order);
    const headers = { 'content-type': 'application/json' };
    return (await this.call('POST', 'orders', { body, headers })).json() as Promise<Answer>;
  }

  async read(session: string, waitMs?: number): Promise<void> {
    const order = { id: `read-${randomUUID()}`, session, task: 'read', attribute: 'a', forMs: 0 } as const;
    const { code } = await this.run({ ...order, ...(waitMs && { waitMs }) });
    if (code) throw new Error(`${this.name} cannot read ${session}: ${code}`);
  }

  /**
   * Runs a scope that stays. Resolves when it is inside, with its answer and a function that lets it leave.
   */
  async enter(session: string, id: string, attribute: Attribute = 'a', waitMs?: number): Promise<Stay> {
    const answer = this.run({ id, session, task: 'stay', attribute, forMs: 0, ...(waitMs && { waitMs }) });
    answer.catch(() => {}); // the test looks later
    await Promise.race([this.call('GET', `inside/${id}`), answer]);
    return { answer, leave: async () => void (await this.call('POST', `go/${id}`)) };
  }

  async counters(): Promise<Readonly<Record<string, number>>> {
    return (await this.call('GET', 'counters')).json() as Promise<Record<string, number>>;
  }

  /** Blocks its event loop for so long. */
  async block(ms: number): Promise<void> {
    await this.call('POST', `block/${ms}`);
  }

  private async call(method: string, path: string, more: RequestInit = {}): Promise<Response> {
    const response = await fetch(`${this.member.match[1]}/${path}`, { method, ...more });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  }
}

export interface Stay {
  readonly answer: Promise<Answer>;
  leave(): Promise<void>;
}

/** Resolves when `holds`, with the milliseconds that it took. Rejects after `limitMs`. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  limitMs: number,
  what: string,
): Promise<number> {
  const begin = moment();
  while (!(await holds())) {
    if (moment() - begin > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return moment() - begin;
}
