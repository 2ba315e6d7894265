/**
 * Finds a server that the demo and the tests need, without any setup. It tries several ways until one works.
 * broker.ts and database.ts list the ways for their kinds of server.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '#broker';
import { cleanUpOnExit } from '../processes/exit-cleanup.js';
import { freePort, run } from './programs.js';

export interface FoundServer {
  readonly url: string;
  /** Its origin, for the log. */
  readonly origin: string;
  /** Ends a server that was started here. Otherwise it does nothing. */
  stop(): Promise<void>;
}

/** A way to get a server. It throws the reason when it does not work. */
export interface Way {
  readonly what: string;
  find(log: Log): Promise<FoundServer>;
}

/** The server of the first way that works. Otherwise it throws all reasons, and `remedies`. */
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

/** A container for Docker. */
export interface Container {
  /** Its name in the log. */
  readonly kind: string;
  readonly image: string;
  /** Its port inside the container. */
  readonly port: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Rejects until it is ready at `port` of this machine. */
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
    const will = cleanUpOnExit('docker rm --force "$1"', name);
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
