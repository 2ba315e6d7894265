/**
 * The load on a fleet: clients, some for each app server, that send one request after the other and record
 * order and answer. A few sessions are in use at a time, each by all clients. A full one is replaced by a new
 * one.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pass } from 'node:timers/promises';
import { Random } from '../simulation/world/world.js';
import type { AppServer } from './fleet.js';
import { attributes, moment, type Request, type Task } from './history.js';

/** The requests after which a session is full. */
const full = 300;
const usual: readonly Task[] = [
  'append',
  'append',
  'append',
  'both',
  'whole',
  'nested',
  'commits',
  'slow',
  'read',
  'read',
];

/** For how long a scope stays inside. */
function lengthOf(task: Task, random: Random): number {
  if (task === 'slow') return random.next() * random.pick([50, 50, 800]);
  return random.chance(0.2) ? random.next() * 5 : 0;
}

export class Load {
  readonly requests: Request[] = [];
  private readonly run = randomUUID().slice(0, 8);
  private readonly used: { session: string; requests: number }[] = [];
  private readonly clients: Promise<void>[] = [];
  private readonly underWay = new Set<Promise<unknown>>();
  private stopping = false;
  private sessions = 0;

  /** `pauseMs` is the longest pause of a client between an answer and its next request. */
  constructor(
    private readonly seed: number,
    { sessions = 6, pauseMs = 200 } = {},
  ) {
    for (let at = 0; at < sessions; at++) this.used.push(this.fresh());
    this.pauseMs = pauseMs;
  }

  private readonly pauseMs: number;

  get acknowledged(): number {
    return this.requests.filter(({ end, code }) => Number.isFinite(end) && code === undefined).length;
  }

  /** All sessions so far. */
  get all(): string[] {
    return [...new Set(this.requests.map(({ session }) => session))];
  }

  start(servers: readonly AppServer[], clientsEach = 4): void {
    for (const [at, server] of servers.entries()) {
      for (let client = 0; client < clientsEach; client++)
        this.clients.push(
          this.client(server, `${at + 1}.${client + 1}`, new Random(this.seed * 1_000 + at * 100 + client)),
        );
    }
  }

  /** Stops the clients. Resolves with the number of requests that are not answered after `limitMs`. */
  async stop(limitMs: number): Promise<number> {
    this.stopping = true;
    const timer = new AbortController();
    const late = pass(limitMs, undefined, { signal: timer.signal }).catch(() => {});
    await Promise.race([late, Promise.all(this.clients)]);
    timer.abort();
    return this.underWay.size;
  }

  private async client(server: AppServer, name: string, random: Random): Promise<void> {
    for (let n = 1; !this.stopping; n++) {
      await pass(random.next() * this.pauseMs);
      const { state } = server.member;
      if (state === 'down' || state === 'starting') continue;
      const task = random.pick(usual);
      const forMs = lengthOf(task, random);
      const attribute = random.pick(attributes);
      await this.ask(server, {
        id: `${name}.${n}`,
        session: this.pick(random),
        task,
        attribute,
        forMs,
        server: server.name,
        begin: 0,
        end: Infinity,
      });
    }
  }

  private async ask(server: AppServer, order: Request): Promise<void> {
    const request = { ...order, begin: moment() };
    this.requests.push(request);
    const answer = this.answerOf(server, order);
    this.underWay.add(answer);
    const code = await answer;
    this.underWay.delete(answer);
    request.end = moment();
    if (code !== undefined) request.code = code;
  }

  private async answerOf(server: AppServer, order: Request): Promise<string | undefined> {
    try {
      return (await server.run(order)).code;
    } catch (error) {
      return error instanceof TypeError ? 'connection-broke' : (error as Error).message;
    }
  }

  private pick(random: Random): string {
    const at = random.int(0, this.used.length - 1);
    const place = this.used[at]!;
    if (++place.requests > full) this.used[at] = this.fresh();
    return this.used[at]!.session;
  }

  private fresh(): { session: string; requests: number } {
    return { session: `${this.run}-${++this.sessions}`, requests: 0 };
  }
}
