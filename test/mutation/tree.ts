/**
 * A copy of the sources in JavaScript, with the mutants compiled in and the specs on the harness. It stands
 * in a temporary folder, so that a build or a test run beside it is not disturbed.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';

/** What the judges and the specs of the libraries need. */
const copied = ['libs', 'test/explore', 'test/simulation', 'test/mutation'];

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  useDefineForClassFields: false,
};

/** Every source below the folder, as a path of the repository. */
export function sourcesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return sourcesIn(root, path);
      return path.endsWith('.ts') && !path.endsWith('.d.ts') ? [path] : [];
    })
    .toSorted();
}

/** Returns the empty folder of a tree. */
export const newTree = () => mkdtempSync(join(tmpdir(), 'locked-session-mutants-'));

/** `mutated` has the code of the files with mutants. */
export function fillTree(root: string, folder: string, mutated: ReadonlyMap<string, string>): void {
  for (const path of copied.flatMap((one) => sourcesIn(root, one))) {
    const code = mutated.get(path) ?? readFileSync(join(root, path), 'utf8');
    const to = join(folder, path.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(to), { recursive: true });
    const { outputText } = ts.transpileModule(code, { compilerOptions, fileName: path });
    writeFileSync(to, path.startsWith('test/mutation/') ? outputText : onHarness(path, outputText));
  }
  for (const linked of ['node_modules', 'docs']) symlinkSync(resolve(root, linked), join(folder, linked));
  const { imports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    imports: Record<string, string>;
  };
  const ours = Object.entries(imports).map(([name, path]) => [name, path.replace('./dist/', './')]);
  const manifest = { type: 'module', imports: Object.fromEntries(ours) as unknown };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
}

/** A spec, and what specs share, with the harness in place of Vitest and of fast-check. */
function onHarness(path: string, code: string): string {
  const up = '../'.repeat(path.split('/').length - 1);
  return code.replace(/ from '(vitest|fast-check)';/g, ` from '${up}test/mutation/harness.js';`);
}
