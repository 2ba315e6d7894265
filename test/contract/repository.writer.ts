/** Starts a process that claims partition 0 and writes until it is killed (repository-writer.mjs). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export function startWriter(
  repository: 'LevelRepository' | 'PostgresRepository',
  settings: object,
  { standBy = false } = {},
) {
  const built = new URL('../../dist/libs/repository/src/index.js', import.meta.url);
  if (!existsSync(built))
    throw new Error('dist is missing: run `npm run build` first, or all suites by `npm test`');
  const script = fileURLToPath(new URL('repository-writer.mjs', import.meta.url));
  const more = standBy ? ['stand-by'] : [];
  const child = spawn(process.execPath, [script, built.href, repository, JSON.stringify(settings), ...more]);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const ended = once(child, 'close').then(([, signal]) => ({ signal: signal as string | null, stderr }));
  return { child, lines: createInterface({ input: child.stdout }), ended };
}
