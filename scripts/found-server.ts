/**
 * Ways to a server that the demo and the tests need, tried one after the other until one leads there, so that nothing
 * needs to be set up. Which ways there are is said for each kind of server: broker.ts, database.ts.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '#broker';
import { leaveLastWill } from './last-will.js';
import { freePort, run } from './programs.js';

export interface FoundServer {
  readonly url: string;
  /** Where it comes from, for people. */
  readonly origin: string;
  /** Ends it if it was started here, and else does nothing. */
  stop(): Promise<void>;
}

/** A way to get a server: throws an error that says why it is none. */
export interface Way {
  readonly what: string;
  find(log: Log): Promise<FoundServer>;
}

/** The first of `ways` that leads to a server; an error with what was tried, and `remedies`, where none does. */
export async function findServer(
  kind: string,
  ways: readonly Way[],
  remedies: string,
  log: Log,
): Promise<FoundServer> {
  const failures: string[] = [];
  for (const way of ways) {
    try {
      return await way.find(log);
    } catch (error) {
      failures.push(`  - ${way.what}: ${(error as Error).message}`);
    }
  }
  throw new Error(
    `No ${kind} could be found or started. What was tried:\n${failures.join('\n')}\n${remedies}`,
  );
}

export const doNothing = async () => {};

/** What to run in Docker. */
export interface Container {
  /** For people. */
  readonly kind: string;
  readonly image: string;
  /** Where it listens, inside. */
  readonly port: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Rejects while it is not yet ready at `port` of this machine. */
  ready(port: number, name: string): Promise<unknown>;
  url(port: number): string;
}

export const inDocker = ({ kind, image, port: inside, env = {}, ready, url }: Container): Way => ({
  what: `a ${kind} in Docker`,
  async find(log) {
    await run('docker', ['info'], { timeout: 10_000 }).catch(() => {
      throw new Error('no Docker engine answers `docker info`');
    });
    log.log(
      `Starting ${kind} in Docker: this takes some seconds, and longer where its image is not there yet.`,
    );
    const name = `locked-session-${randomUUID()}`;
    const port = await freePort();
    const will = leaveLastWill('docker rm --force "$1"', name);
    const variables = Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`]);
    const publish = `127.0.0.1:${port}:${inside}`;
    try {
      await run('docker', ['run', '--detach', '--rm', '--name', name, '-p', publish, ...variables, image]);
      for (const deadline = performance.now() + 120_000; ; await pause(200)) {
        const failure = await ready(port, name).then(
          () => undefined,
          (error: Error) => error,
        );
        if (!failure) break;
        if (performance.now() > deadline) throw failure;
      }
    } catch (error) {
      await will.execute();
      throw error;
    }
    return { url: url(port), origin: this.what, stop: () => will.execute() };
  },
});
