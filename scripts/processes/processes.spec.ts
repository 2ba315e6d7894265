/** Child processes that start, fail to start, ignore signals and lose their parents. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { root, startProcess, type ProcessOptions } from './processes.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'processes-'));
});
afterAll(() => rm(directory, { recursive: true }));

/** Starts a program that consists of `code`. */
async function start(code: string, options: Partial<ProcessOptions> = {}) {
  const script = join(directory, `${crypto.randomUUID()}.mjs`);
  await writeFile(script, code);
  return startProcess({ name: 'child', script, ready: /^ready (\d+)$/, ...options });
}

const stay = `setInterval(() => {}, 1000);`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

vi.setConfig({ testTimeout: 30_000 }); // each test starts Node, some twice

describe('a child process', () => {
  it('is ready when its output says so, and its output is kept and logged', async () => {
    const log: string[] = [];
    const child = await start(
      `console.error('warming up'); console.log('ready ' + process.env.ANSWER); ${stay}`,
      {
        env: { ANSWER: '42' },
        log: (line) => log.push(line),
      },
    );
    expect(child.match[1]).toBe('42');
    await expect.poll(() => child.output().split('\n').toSorted()).toEqual(['ready 42', 'warming up']);
    expect(log).toContain('child | warming up');
    await child.kill();
    expect(await child.stopped).toEqual({ code: null, signal: 'SIGTERM' });
    expect(isAlive(child.pid)).toBe(false);
  });

  it('is killed when it ignores a signal', async () => {
    const child = await start(`process.on('SIGTERM', () => {}); console.log('ready 1'); ${stay}`);
    await child.kill('SIGTERM', 50);
    expect(await child.stopped).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('ends by itself when it is done', async () => {
    const child = await start(`console.log('ready 1');`);
    expect(await child.stopped).toEqual({ code: 0, signal: null });
  });

  it('is killed when it is not ready in time, and the error shows its output', async () => {
    const code = `console.log('pid', process.pid, 'looks for a broker'); ${stay}`;
    const refusal = async (readyWithinMs: number): Promise<string> => {
      const { message }: Error = await start(code, { readyWithinMs }).then(
        () => expect.unreachable(),
        (reason) => reason,
      );
      expect(message).toMatch(`child was not ready within ${readyWithinMs} ms; its last output:\n`);
      // On a busy machine Node itself may need all that time. Then there is no output yet.
      return message.includes('(nothing)') ? refusal(2 * readyWithinMs) : message;
    };
    const [, pid] = /^  pid (\d+) looks for a broker$/m.exec(await refusal(500))!;
    expect(isAlive(Number(pid))).toBe(false);
  });

  it('fails its start with its output when it stops before it is ready', async () => {
    await expect(start(`throw new Error('PORT is wrong')`)).rejects.toThrow(
      /stopped before.*\n[^]*PORT is wrong/,
    );
  });
});

describe('a child dies with its parent', () => {
  // The parent starts a child by the real startProcess. It is compiled here, since Node does not read
  // TypeScript.
  const compiled = join(root, 'dist', `processes.spec-${process.pid}.mjs`);
  beforeAll(async () => {
    const source = await readFile(join(root, 'scripts/processes/processes.ts'), 'utf8');
    await mkdir(join(root, 'dist'), { recursive: true });
    await writeFile(
      compiled,
      transpileModule(source, { compilerOptions: { target: ScriptTarget.ESNext, module: ModuleKind.ESNext } })
        .outputText,
    );
  });
  afterAll(() => rm(compiled));

  /** Runs a parent with a child that ignores SIGTERM, ends the parent, and returns the child's pid. */
  async function orphan(end: string): Promise<number> {
    const child = join(directory, 'stubborn.mjs');
    await writeFile(child, `process.on('SIGTERM', () => {}); console.log('ready 1'); ${stay}`);
    const parent = await start(`
      import { startProcess } from ${JSON.stringify(pathToFileURL(compiled).href)};
      const child = await startProcess({ name: 'child', script: ${JSON.stringify(child)}, ready: /ready/ });
      console.log('ready ' + child.pid);
      ${end.startsWith('SIG') ? stay : end}
    `);
    if (end.startsWith('SIG')) await parent.kill(end as NodeJS.Signals);
    await parent.stopped;
    return Number(parent.match[1]);
  }

  it.each([
    ['ends', 'process.exit()'],
    ['throws', `throw new Error('an accident')`],
    ['is interrupted', 'SIGINT'],
    ['is killed', 'SIGKILL'],
  ])('that %s', async (_what, end) => {
    const pid = await orphan(end);
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  });
});
