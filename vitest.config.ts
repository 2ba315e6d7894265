// The test projects. `unit` and `house` need nothing; `contract`, `simulation` and `e2e` are the slower suites,
// of which `contract` (against AMQP) and `e2e` need the broker that scripts/test.ts brings, and `fault` one that it may kill.
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const lib = (name: string) => fileURLToPath(new URL(`./libs/${name}/src/index.ts`, import.meta.url));

const alias = {
  '#protocol': lib('protocol'),
  '#broker': lib('broker'),
  '#repository': lib('repository'),
  '#store': lib('store'),
  '#locked-session': lib('locked-session'),
  '#embedded': lib('embedded'),
};
const oxc = { decorator: { legacy: true, emitDecoratorMetadata: true } };
const project = (name: string, include: string[], more = {}) => ({
  resolve: { alias },
  oxc,
  test: { name, include, environment: 'node', ...more },
});

export default defineConfig({
  test: {
    projects: [
      project('house', ['test/house/**/*.spec.ts']),
      project('unit', ['libs/**/*.spec.ts', 'apps/**/*.spec.ts', 'scripts/**/*.spec.ts']),
      project('contract', ['test/contract/**/*.spec.ts'], { testTimeout: 60_000, hookTimeout: 60_000 }),
      project('nest', ['test/nest/**/*.spec.ts']),
      project('simulation', ['test/simulation/**/*.spec.ts'], { testTimeout: 300_000 }),
      project('e2e', ['test/e2e/**/*.spec.ts'], {
        testTimeout: 60_000,
        hookTimeout: 120_000,
        fileParallelism: false,
      }),
      project('fault', ['test/fault/**/*.spec.ts'], {
        testTimeout: 120_000,
        hookTimeout: 120_000,
        fileParallelism: false,
      }),
    ],
  },
});
