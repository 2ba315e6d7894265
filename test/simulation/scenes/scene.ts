/**
 * What the scenes share: two app-server processes on a simulated deployment, and scopes that append to lists.
 */
import type { LockedSessions, RunOptions } from '#locked-session';
import { Deployment, type DeploymentOptions } from '../world/deployment.js';

/** A session's handle, as if every attribute were a list of strings. */
export interface Lists {
  readonly id: string;
  readonly signal: AbortSignal;
  get(name: string): readonly string[] | undefined;
  draft(name: string, initial: () => string[]): string[];
  set(name: string, value: unknown): void;
  delete(name: string): void;
  names(): string[];
  destroy(): void;
  regenerate(): string;
  commit(): Promise<void>;
}

export type Body<T> = (session: Lists) => T | Promise<T>;

export const run = <T>(holder: LockedSessions, options: RunOptions, body: Body<T>, id = 's') =>
  holder.run(id, options, (session) => body(session as unknown as Lists));

/** The scope of a new visitor: the id was just made. */
export const runNew = <T>(holder: LockedSessions, options: RunOptions, body: Body<T>, id = 's') =>
  holder.visit(id, options, { isNew: true }, (session) => body(session as unknown as Lists));

export const add = (holder: LockedSessions, mark: string, id = 's') =>
  run(holder, { write: ['a'] }, (session) => void session.draft('a', () => []).push(mark), id);

/** The change is durable before the scope ends, also with write-back. */
export const addDurably = (holder: LockedSessions, mark: string) =>
  run(holder, { write: ['a'] }, async (session) => {
    session.draft('a', () => []).push(mark);
    await session.commit();
  });

export const read = (holder: LockedSessions, id = 's') =>
  run(holder, { read: ['a'] }, (session) => [...(session.get('a') ?? [])], id);

/** Also when the store must first wait for the lease of a process that was killed. */
export const readPatiently = (holder: LockedSessions) =>
  run(holder, { read: ['a'], waitMs: 30_000 }, (session) => [...(session.get('a') ?? [])]);

export const readAll = (holder: LockedSessions, id = 's') =>
  run(holder, {}, (session) => session.names().map((name) => [name, session.get(name)]), id);

/** How a scope ended: `fulfilled`, or the code of its error. */
export const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fulfilled',
    (error: Error & { code?: string }) => error.code ?? error.message,
  );

/** A promise that a test resolves. */
export function latch() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

/** A scope that is inside until the test lets it go. */
export function stay(holder: LockedSessions, options: RunOptions = {}, id = 's') {
  const [inside, goOn] = [latch(), latch()];
  const ended = run(holder, options, () => (inside.open(), goOn.opened), id);
  return { inside: inside.opened, leave: goOn.open, ended };
}

/** The error of the application in a scene. */
export function fail(): never {
  throw new Error('deliberate');
}

type Part = Record<string, () => unknown>;

/** The gates of a process, by session: for scenes in which a part of one fails. */
export const gatesOf = (holder: LockedSessions) =>
  (holder as unknown as { gates: { get(id: string): Part & { entrants: Part } } }).gates;

export const atRest = (holder: LockedSessions) => {
  const { held, waiting, sessions } = holder.counters();
  return { held, waiting, sessions };
};
export const nothing = { held: 0, waiting: 0, sessions: 0 };

export async function scene(options: DeploymentOptions = {}) {
  const deployment = new Deployment(options);
  await deployment.start();
  const { world } = deployment;
  const until = <T>(promise: Promise<T>, limitMs?: number) => deployment.until(promise, limitMs);
  const [one, two] = [await deployment.holder('one'), await deployment.holder('two')];
  return { deployment, world, until, one, two };
}
