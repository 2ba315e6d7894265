/**
 * Finds a PostgreSQL for the tests without any setup: the one that DATABASE_URL names, a private one of
 * installed programs, one that is installed now, or one in Docker.
 */
import type { Log } from '#broker';
import { doNothing, findServer, inDocker, type FoundServer, type Way } from './found-server.js';
import { startPrivatePostgres } from './private-postgres.js';
import { installPackage } from './debian.js';
import { run } from './programs.js';

export function findDatabase({ log }: { log: Log }): Promise<FoundServer> {
  const ways = process.env.DATABASE_URL ? [named] : [privateServer, installed, docker];
  return findServer('PostgreSQL', ways, REMEDIES, log);
}

const REMEDIES = `Do one of these, and try again:
  - install it: apt-get install postgresql, brew install postgresql, or https://www.postgresql.org/download
  - start Docker
  - name a running one, whose user may create schemas: DATABASE_URL=postgres://user:password@host:5432/database`;

/** The suites report what is wrong with it. */
const named: Way = {
  what: 'the PostgreSQL that DATABASE_URL names',
  async find() {
    return { url: process.env.DATABASE_URL!, origin: this.what, stop: doNothing };
  },
};

const privateServer: Way = {
  what: 'a private PostgreSQL of the programs that are installed on this machine',
  async find() {
    const { url, stop } = await startPrivatePostgres();
    return { url, origin: this.what, stop };
  },
};

const installed: Way = {
  what: 'a private PostgreSQL that was installed for this',
  async find(log) {
    await installPackage('postgresql', log);
    return { ...(await privateServer.find(log)), origin: this.what };
  },
};

const docker = inDocker({
  kind: 'PostgreSQL',
  image: 'postgres:17',
  port: 5432,
  env: { POSTGRES_HOST_AUTH_METHOD: 'trust' },
  // While it sets itself up it listens at its socket alone.
  ready: (_port, name) => run('docker', ['exec', name, 'pg_isready', '-h', '127.0.0.1']),
  url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
});
