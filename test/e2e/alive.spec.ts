/** Only an awaited promise of the library keeps the process alive: real processes with nothing else. */
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { busyMs } from '../fault/figures.js';
import { Deployment, type Program } from './deployment.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await Deployment.create();
  return () => deployment.stop();
});

/** The steps that it printed from `ready` on, and its exit code. */
async function outcome(program: Program) {
  const stopped = await program.stopped;
  const steps = [...program.output().matchAll(/^lone: (.*)$/gm)].map(([, step]) => step!);
  return { ...stopped, steps };
}

const ended = (...steps: string[]) => ({ code: 0, signal: null, steps: [...steps, 'is done'] });

describe('a process with nothing else', () => {
  it('may use a session from onModuleInit on', async () => {
    const lone = await deployment.lone('uses a session from onModuleInit on');
    expect(await outcome(lone)).toEqual(ended('begins', 'initialized'));
  });

  it('may do so over RabbitMQ before there is a store, and ends by itself after its close', async () => {
    const lone = await deployment.lone('uses a session from onModuleInit on, over RabbitMQ');
    await deployment.store({ STORE_REPOSITORY: 'memory' });
    expect(await outcome(lone)).toEqual(ended('begins', 'initialized'));
  });

  it.each([
    ['waits for a lock', 'wait-timeout'],
    ['waits for a store', 'wait-timeout'],
    ['waits for the answer to a change', 'outcome-unknown'],
  ])('%s until its time is over', async (scene, code) => {
    expect(await outcome(await deployment.lone(scene))).toEqual(ended(code));
  });

  it('stops in order while a handler never ends, and keeps changes that write-back has acknowledged', async () => {
    const { steps, code } = await outcome(await deployment.lone('stops while a handler goes on for ever'));
    expect(code).toBe(0);
    const [, ms] = /^closed after (\d+) ms$/.exec(steps[0]!)!;
    expect(Number(ms), 'milliseconds with a closeMs of 300').toBeGreaterThan(250);
    expect(Number(ms)).toBeLessThan(300 + 1_000 + busyMs);
    console.log(`closed after ${ms} ms (closeMs 300)`);
    expect(await outcome(await deployment.lone('reads'))).toEqual(ended('read acknowledged'));
  });

  it('stands by with a warning while another one has the directory, and then takes its place', async () => {
    const first = await deployment.lone('stays until SIGUSR2', /is there/);
    onTestFinished(() => first.kill('SIGKILL'));
    const second = await deployment.lone('reads', /WARN.*standing by: .*when that process has ended/);
    await first.kill('SIGUSR2');
    expect(await outcome(first)).toEqual(ended('is there'));
    expect((await outcome(second)).code).toBe(0);
  });
});
