/**
 * An app server of the fault suite. It runs scopes as ordered, and notes in a file at once which scope enters
 * under which token, what it sees, and which one leaves. On demand it stays in a scope, or blocks its event
 * loop.
 */
import 'reflect-metadata';
import { Body, Controller, Get, HttpCode, Module, NotFoundException, Param, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventEmitter, once } from 'node:events';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import {
  LockedSessionError,
  LockedSessionModule,
  LockedSessions,
  type LockedSessionOptions,
  type RunOptions,
  type SessionHandle,
} from '#locked-session';
import type { Token } from '#protocol';
import { traceOption } from '../traces/trace-folder.js';
import {
  attributes,
  moment,
  type Attribute,
  type Entry,
  type Note,
  type Order,
  type Seen,
} from './history.js';

/**
 * A session's handle, as if every attribute were a list of marks. Its token is internal, but the history
 * needs it.
 */
interface Lists {
  get(name: string): readonly string[] | undefined;
  draft(name: string, initial: () => string[]): string[];
  commit(): Promise<void>;
  readonly signal: AbortSignal;
  readonly held: { readonly grant: { readonly token: Token } };
}

type Locks = Pick<Entry, 'write' | 'read'>;

const notes = openSync(process.env.NOTES!, 'a');
const note = (what: Note) => writeSync(notes, `${JSON.stringify(what)}\n`);
const seenLast = new Map<string, readonly string[]>();

/** Scopes that stay inside, by their ids. */
const staying = new Map<string, () => void>();
const arrivals = new EventEmitter().setMaxListeners(0);

@Controller()
class OrdersController {
  constructor(private readonly sessions: LockedSessions) {}

  /**
   * Answers with `entered`, the moment of entering, or the `code` of an error, and `aborted` as the signal
   * said.
   */
  @Post('orders')
  @HttpCode(200)
  async run(@Body() order: Order): Promise<object> {
    const visit = { entered: 0, aborted: false };
    const { session, waitMs } = order;
    const locks = locksOf(order);
    const options: RunOptions = { label: order.id, ...(waitMs && { waitMs }), ...locked(order, locks) };
    try {
      await this.sessions.run(session, options, async (handle) => {
        visit.entered = moment();
        try {
          await this.inside(order, locks, handle as unknown as Lists, visit);
        } finally {
          note({ kind: 'left', id: order.id, at: moment() });
        }
      });
      return visit;
    } catch (error) {
      const code = error instanceof LockedSessionError ? error.code : String((error as Error).stack);
      return { ...visit, code };
    }
  }

  /** Answers when the scope is inside. */
  @Get('inside/:id')
  async untilInside(@Param('id') id: string): Promise<void> {
    if (!staying.has(id)) await once(arrivals, id);
  }

  @Post('go/:id')
  @HttpCode(204)
  letGo(@Param('id') id: string): void {
    const go = staying.get(id);
    if (!go) throw new NotFoundException(`${id} is not inside`);
    go();
  }

  /** Answers, and then blocks the event loop for so long. */
  @Post('block/:ms')
  @HttpCode(204)
  block(@Param('ms') ms: string): void {
    setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(ms)), 10);
  }

  @Get('counters')
  counters(): object {
    return this.sessions.counters();
  }

  private async inside(
    order: Order,
    { write, read }: Locks,
    handle: Lists,
    visit: { entered: number; aborted: boolean },
  ): Promise<void> {
    const { id, session, task, forMs } = order;
    const first = task === 'nested' ? write.slice(0, 1) : write;
    const saw = Object.fromEntries([...first, ...read].map((name) => [name, see(session, name, handle)]));
    const { token } = handle.held.grant;
    note({ kind: 'entered', id, session, at: visit.entered, token, write: first, read, saw });
    const add = (name: string, mark = id) => void handle.draft(name, () => []).push(mark);
    for (const name of first) add(name);
    if (task === 'commits') {
      await handle.commit();
      note({ kind: 'committed', id, at: moment() });
      for (const name of first) add(name, `${id}+`);
    }
    if (forMs > 0) await pass(forMs);
    if (task === 'stay') visit.aborted = await stay(id, handle.signal);
    if (task === 'nested') {
      const [, second] = write;
      await this.sessions.run(session, { write: [second!] }, (nested: SessionHandle) => {
        (nested as unknown as Lists).draft(second!, () => []).push(id);
      });
    }
  }
}

/** Resolves when the scope may leave (false), or when its lock is lost (true). */
async function stay(id: string, signal: AbortSignal): Promise<boolean> {
  const go = new Promise<boolean>((resolve) => staying.set(id, () => resolve(false)));
  const lost = once(signal, 'abort').then(() => true);
  arrivals.emit(id);
  const aborted = signal.aborted || (await Promise.race([go, lost]));
  staying.delete(id);
  return aborted;
}

/** The attributes that the scope has locked at its end, for writing and for reading. */
function locksOf({ task, attribute }: Order): Locks {
  if (task === 'read') return { write: [], read: attributes };
  if (task === 'nested') return { write: attribute === 'a' ? ['a', 'b'] : ['b', 'a'], read: [] };
  return { write: task === 'both' || task === 'whole' ? attributes : [attribute], read: [] };
}

/** The attributes that it locks at its beginning. */
function locked({ task, attribute }: Order, locks: Locks): RunOptions {
  if (task === 'whole') return {};
  return task === 'nested' ? { write: [attribute] } : locks;
}

function see(session: string, name: Attribute, handle: Lists): Seen {
  const list = [...(handle.get(name) ?? [])];
  const key = `${session} ${name}`;
  const last = seenLast.get(key) ?? [];
  const differs = list.findIndex((mark, at) => mark !== last[at]);
  const same = differs < 0 ? list.length : differs;
  seenLast.set(key, list);
  return { same, more: list.slice(same) };
}

/** An unset variable keeps the library's default. */
function options(env: NodeJS.ProcessEnv): LockedSessionOptions {
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  return {
    resolve: () => 'every order names its session',
    broker: { url: env.AMQP_URL!, prefix: env.AMQP_PREFIX },
    partitions: number(env.PARTITIONS),
    queues: env.QUEUES as LockedSessionOptions['queues'],
    waitMs: number(env.WAIT_MS),
    commitWaitMs: number(env.COMMIT_WAIT_MS),
    drainBudgetMs: number(env.DRAIN_BUDGET_MS),
    heldSessions: number(env.HELD_SESSIONS),
    ...traceOption(env),
    ...(env.WRITE_BACK_MS && { writePolicy: 'write-back', writeBackMs: number(env.WRITE_BACK_MS) }),
  };
}

@Module({
  imports: [LockedSessionModule.forRoot(options(process.env))],
  controllers: [OrdersController],
})
class AppServerModule {}

const app = await NestFactory.create(AppServerModule, { logger: ['log', 'warn', 'error', 'fatal'] });
app.enableShutdownHooks();
await app.listen(0, '127.0.0.1');
console.log(`listening on ${await app.getUrl()}`);
