/**
 * `npm run test:all`: the tests that are too slow for `npm test`. The packed package in fresh folders (Nest
 * 11 and 12, their oldest and current patches, ES modules and CommonJS, the store's program in an empty
 * folder), the faults of real processes, and the suites without a broker on each supported version of Node.
 *
 *   npm run test:all                   everything
 *   npm run test:all -- package fault  one part or several: package, fault, node
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import ts from 'typescript';
import { findBroker } from '../../scripts/services/broker.js';
import { root, startProcess } from '../../scripts/processes/processes.js';

const run = promisify(execFile);
const packageName = 'locked-session';

/** Pinned: the oldest and the current patch of each major version of Nest. */
const nests = [
  { common: '11.0.0', platform: '11.0.0' },
  { common: '11.2.10', platform: '11.2.10' },
  { common: '12.0.1', platform: '12.0.1' }, // 12.0.0 names Nest 11 as its peer: npm refuses it
  { common: '12.5.1', platform: '12.5.1' },
] as const;
/** Versions of the npm package `node`. */
const nodes = ['22.23.3', '24.9.0', '26.9.0'];
const typesOfNode = '20.19.43';
/** The maximum size of the packed package, in bytes. */
const maxPackedBytes = 400_000;

const parts = process.argv.slice(2);
const has = (part: 'package' | 'fault' | 'node') => parts.length === 0 || parts.includes(part);

const log = { log: console.log, warn: console.warn, error: console.error };
const folder = await mkdtemp(join(tmpdir(), 'locked-session-package-'));
try {
  if (has('package')) await tryPackage();
  if (has('fault')) await step('the fault suite passes', runFaults);
  if (has('node')) {
    for (const node of nodes) await step(`the suites pass on Node ${node}`, () => runSuites(node));
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function tryPackage(): Promise<void> {
  const packed = await step('the package is packed without what only tests need', pack);
  for (const nest of nests) {
    for (const module of ['esm', 'commonjs'] as const) {
      if (module === 'commonjs' && nest.common.startsWith('12')) continue; // Nest 12 has only ES modules
      await step(`an application of Nest ${nest.common} (${module}) loses nothing`, () =>
        tryApplication(packed, nest, module),
      );
    }
  }
  await step(
    'its declarations compile under the strictest settings, and its programs tell their version',
    () => tryDeclarations(packed),
  );
  const broker = await findBroker({ log, mode: 'test' });
  try {
    await step('the store is installed in an empty folder, starts and ends in order', () =>
      tryStore(packed, broker.url),
    );
    await step('npx starts the store in an empty folder', () => tryNpx(packed, broker.url));
  } finally {
    await broker.stop();
  }
}

async function step<T>(what: string, task: () => Promise<T>): Promise<T> {
  const started = performance.now();
  try {
    return await task();
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    console.error(`FAILED: ${what}\n${stdout.slice(-8_000)}\n${stderr.slice(-8_000)}`);
    throw error;
  } finally {
    console.log(`${((performance.now() - started) / 1_000).toFixed(0).padStart(5)} s  ${what}`);
  }
}

async function runFaults(): Promise<void> {
  const test = join(root, 'dist/scripts/test.js');
  const suite = spawn(process.execPath, [test, '--project', 'fault'], { cwd: root, stdio: 'inherit' });
  const [code] = (await once(suite, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`the fault suite ended with ${code}`);
}

/** Returns the path of the tarball. */
async function pack(): Promise<string> {
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
  });
  const [{ filename, size, files }] = JSON.parse(stdout) as [
    { filename: string; size: number; files: { path: string }[] },
  ];
  const foreign = files.map(({ path }) => path).filter((path) => /harness|judge|\.spec\.|\.map$/.test(path));
  if (foreign.length > 0) throw new Error(`the package has files of tests: ${foreign.join(', ')}`);
  if (size > maxPackedBytes) throw new Error(`the package has ${size} bytes: at most ${maxPackedBytes}`);
  return join(folder, filename);
}

async function tryApplication(
  packed: string,
  { common, platform }: (typeof nests)[number],
  module: 'esm' | 'commonjs',
): Promise<void> {
  const app = await emptyFolder(`app-${common}-${module}`);
  const type = module === 'esm' ? 'module' : 'commonjs';
  await writeFile(join(app, 'package.json'), JSON.stringify({ name: 'app', version: '1.0.0', type }));
  const nest = [`@nestjs/common@${common}`, `@nestjs/core@${common}`, `@nestjs/platform-express@${platform}`];
  await install(app, [...nest, 'rxjs@7.8.2', 'reflect-metadata@0.2.2', packed]);
  const source = (await readFile(join(root, 'test/package/app.ts'), 'utf8'))
    .replace(`'#locked-session'`, `'${packageName}'`)
    .replace(`'#embedded'`, `'${packageName}/embedded'`);
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: module === 'esm' ? ts.ModuleKind.ESNext : ts.ModuleKind.CommonJS,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    },
  });
  await writeFile(join(app, 'app.js'), outputText);
  const { stdout } = await run(process.execPath, ['app.js'], { cwd: app, timeout: 60_000 });
  if (!stdout.includes('the cart has 21 items')) throw new Error(`it printed: ${stdout}`);
}

/** An application has the types of Node and Nest, and no others. */
async function tryDeclarations(packed: string): Promise<void> {
  const app = await emptyFolder('declarations');
  await writeFile(
    join(app, 'package.json'),
    JSON.stringify({ name: 'app', version: '1.0.0', type: 'module' }),
  );
  await install(app, [packed, `@types/node@${typesOfNode}`]);
  const entries = ['', '/embedded', '/store', '/meter'];
  const source = entries.map((entry) => `import '${packageName}${entry}';\n`).join('');
  await writeFile(join(app, 'app.ts'), source);
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false'];
  const asApplications = ['--module', 'nodenext', '--target', 'es2023', '--types', 'node', '--noEmit'];
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  await run(process.execPath, [compiler, ...strict, ...asApplications, 'app.ts'], { cwd: app });
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  for (const program of ['locked-session', 'locked-session-store']) {
    const { stdout } = await run(join(app, 'node_modules/.bin', program), ['--version']);
    if (stdout.trim() !== version) throw new Error(`${program} --version printed: ${stdout}`);
  }
}

async function tryStore(packed: string, brokerUrl: string): Promise<void> {
  const empty = await emptyFolder('store');
  await install(empty, [packed]);
  const store = await startProcess({
    name: 'store',
    script: join(empty, 'node_modules', packageName, 'dist/apps/store/src/main.js'),
    env: storeSettings(empty, brokerUrl),
    ready: /the store is ready/,
  });
  await store.kill();
  const { code } = await store.stopped;
  if (code !== 0) throw new Error(`the store ended with ${code}: ${store.output()}`);
}

/** npx installs the package and its peers into a cache, and runs the program from there. */
async function tryNpx(packed: string, brokerUrl: string): Promise<void> {
  const cwd = await emptyFolder('npx');
  const cache = join(folder, 'npx-cache'); // the folder's removal takes it, too
  const args = ['--yes', '--cache', cache, '--package', packed, 'locked-session-store'];
  const env = { ...process.env, ...storeSettings(cwd, brokerUrl) };
  const npx = spawn('npx', args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(npx, 'close');
  let output = '';
  const ready = new Promise<true>((resolve) => {
    for (const input of [npx.stdout, npx.stderr]) {
      createInterface({ input }).on('line', (line) => {
        output += `${line}\n`;
        if (line.includes('the store is ready')) resolve(true);
      });
    }
  });
  if ((await Promise.race([ready, ended])) !== true) throw new Error(`npx ended: ${output}`);
  process.kill(-npx.pid!, 'SIGTERM'); // npx, its shell and the store
  await ended;
}

async function emptyFolder(name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  return path;
}

function storeSettings(folderOfStore: string, brokerUrl: string): Record<string, string> {
  return { AMQP_URL: brokerUrl, AMQP_PREFIX: 'package', STORE_DIRECTORY: join(folderOfStore, 'data') };
}

async function runSuites(version: string): Promise<void> {
  const home = await emptyFolder(`node-${version}`);
  // The package `node` installs its program by a script.
  await install(home, [`node@${version}`], []);
  const node = join(home, 'node_modules/node/bin/node');
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
  const projects = ['unit', 'nest', 'simulation'].flatMap((name) => ['--project', name]);
  const { stdout } = await run(node, [vitest, 'run', '--reporter=dot', ...projects], {
    cwd: root,
    env: { ...process.env, SIM_SEEDS: '200', PATH: `${dirname(node)}:${process.env.PATH}` },
    maxBuffer: 64 * 1024 * 1024,
  });
  const { stdout: said } = await run(node, ['--version']);
  if (said.trim() !== `v${version}`) throw new Error(`Node ${said} ran instead`);
  console.log(/Tests .*/.exec(stdout)?.[0] ?? '');
}

async function install(cwd: string, packages: string[], options = ['--ignore-scripts']): Promise<void> {
  await run('npm', ['install', '--no-audit', '--no-fund', ...options, ...packages], {
    cwd,
    maxBuffer: 64 * 1024 * 1024,
  });
}
