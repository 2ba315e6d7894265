/** `npm run demo -- --once`, which brings its own load: three shops, a gateway, 60 requests under way. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from '../../../scripts/processes/processes.js';
import { durabilities, type Program } from '../contest.js';

/** What the demo prints last: see scripts/demo/demo.ts. */
interface DemoFigures {
  readonly requestsPerSecond: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly grants: number;
  readonly lost: number;
  readonly strays: number;
  readonly failed: number;
}

const run = promisify(execFile);

export const demo: Program = {
  what: 'three shops of Locked Session behind a gateway, as `npm run demo -- --once` starts them',
  durability: durabilities.killedStore,
  lacks: '–',
  needs: ['amqp'],
  async measure({ servers }, { ms }) {
    const script = join(root, 'dist/scripts/demo/demo.js');
    const seconds = `${Math.ceil(ms / 1_000)}`;
    const args = [script, '--once', '--json', '--seconds', seconds, '--broker-url', servers.amqp];
    const { stdout } = await run(process.execPath, args);
    const figures = JSON.parse(stdout.trim().split('\n').at(-1)!) as DemoFigures;
    return {
      rate: figures.requestsPerSecond,
      p50: figures.p50Ms,
      p95: figures.p95Ms,
      p99: figures.p99Ms,
      ownerChanges: figures.grants / figures.seconds,
      lost: figures.lost + figures.strays + figures.failed,
    };
  },
};
