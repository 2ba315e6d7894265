/** For scripted races: two app-server processes on a deployment, and scopes that append to lists. */
import type { LockedSessions, RunOptions } from '#locked-session';
import { Deployment, type DeploymentOptions } from './deployment.js';

/** A handle where every attribute is a list of strings. */
export interface Lists {
  get(name: string): readonly string[] | undefined;
  draft(name: string, initial: () => string[]): string[];
  set(name: string, value: unknown): void;
}

export const run = <T>(
  holder: LockedSessions,
  options: RunOptions,
  body: (session: Lists) => T | Promise<T>,
  id = 's',
) => holder.run(id, options, (session) => body(session as unknown as Lists));

export const add = (holder: LockedSessions, mark: string, id = 's') =>
  run(holder, { write: ['a'] }, (session) => void session.draft('a', () => []).push(mark), id);

export const read = (holder: LockedSessions, id = 's') =>
  run(holder, { read: ['a'] }, (session) => [...(session.get('a') ?? [])], id);

/** How a scope ended: `fulfilled`, or the code of its error. */
export const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fulfilled',
    (error: Error & { code?: string }) => error.code ?? error.message,
  );

export async function scene(options: DeploymentOptions = {}) {
  const deployment = new Deployment(options);
  await deployment.start();
  const { world } = deployment;
  const until = <T>(promise: Promise<T>, limitMs?: number) => deployment.until(promise, limitMs);
  const [one, two] = [await deployment.holder('one'), await deployment.holder('two')];
  return { deployment, world, until, one, two };
}
