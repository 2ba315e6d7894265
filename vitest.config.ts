// The test projects. `unit`, `house`, `nest` and `simulation` need nothing. `contract` and `e2e` need a
// broker, which scripts/test.ts brings. `fault` needs one that it may kill.
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const lib = (name: string) => fileURLToPath(new URL(`./libs/${name}/src/index.ts`, import.meta.url));

const alias = {
  '#settings': lib('settings'),
  '#protocol': lib('protocol'),
  '#trace': lib('trace'),
  '#broker': lib('broker'),
  '#repository': lib('repository'),
  '#store': lib('store'),
  '#store-service': lib('store-service'),
  '#locked-session': lib('locked-session'),
  '#embedded': lib('embedded'),
  '#express': lib('express'),
  '#meter': lib('meter'),
};
const oxc = { decorator: { legacy: true, emitDecoratorMetadata: true } };
// No test judges by these times: they end one that hangs, also on a machine with two busy cores.
const patience = { testTimeout: 30_000, hookTimeout: 30_000, expect: { poll: { timeout: 10_000 } } };
const project = (name: string, include: string[], more = {}) => ({
  resolve: { alias },
  oxc,
  test: { name, include, environment: 'node', ...patience, ...more },
});

export default defineConfig({
  test: {
    projects: [
      project('house', ['test/house/**/*.spec.ts']),
      project('unit', [
        'libs/**/*.spec.ts',
        'apps/**/*.spec.ts',
        'scripts/**/*.spec.ts',
        'test/mutation/**/*.spec.ts',
      ]),
      project('contract', ['test/contract/**/*.spec.ts'], { testTimeout: 60_000, hookTimeout: 60_000 }),
      project('nest', ['test/nest/**/*.spec.ts']),
      project('simulation', ['test/simulation/**/*.spec.ts'], { testTimeout: 300_000 }),
      project('explore', ['test/explore/**/*.spec.ts'], { testTimeout: 300_000 }),
      project('e2e', ['test/e2e/**/*.spec.ts'], {
        testTimeout: 60_000,
        hookTimeout: 120_000,
        fileParallelism: false,
      }),
      project('bench', ['test/bench/**/*.spec.ts'], { testTimeout: 600_000, fileParallelism: false }),
      project('fault', ['test/fault/**/*.spec.ts'], {
        testTimeout: 120_000,
        hookTimeout: 120_000,
        fileParallelism: false,
      }),
    ],
  },
});
