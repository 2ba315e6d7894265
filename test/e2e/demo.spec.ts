/** The demo, as `npm run demo` runs it: its last line, and its end. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { root, startProcess } from '../../scripts/processes/processes.js';
import { soon } from './deployment.js';

const url = process.env.AMQP_URL;
if (!url) throw new Error('AMQP_URL is not set. Run the tests by `npm test`, which brings a broker.');
const script = 'dist/scripts/demo/demo.js';

it('ends well with --once --json, and reports in its last line that nothing was lost', async () => {
  const args = [script, '--once', '--json', '--seconds', '1', '--clients', '10', '--broker-url', url];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
  const figures = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Record<string, number>;
  expect(figures).toMatchObject({ lost: 0, failed: 0, found: figures.updates });
  const counts = ['updates', 'requests', 'grants', 'recalls', 'servedFromHeldLock'];
  expect(counts.filter((name) => !(figures[name]! > 0))).toEqual([]);
});

it('ends its processes when it is killed', async () => {
  const demo = await startProcess({
    name: 'demo',
    script,
    args: ['--verbose', '--seconds', '60', '--broker-url', url],
    ready: /The shop is open/,
  });
  // A Nest application begins its lines with its process id.
  const lines = demo.output().matchAll(/^(?:store|shop-\d) \| \[Nest\] (\d+)/gm);
  const children = [...new Set(Array.from(lines, ([, pid]) => Number(pid)))];
  expect(children.filter(isAlive)).toHaveLength(4);

  await demo.kill('SIGKILL');
  await expect.poll(() => children.filter(isAlive), soon).toEqual([]);
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
