/**
 * The rules of the house, as tests. Each holds for every source file of this repository. Each fails on an
 * example that breaks it, and passes on one that comes close and does not.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decisionsOf, withTable } from '../../scripts/rules.js';
import { linesAreNarrow } from './columns.js';
import * as rules from './rules.js';
import { listPaths, parse, readSources, root } from './sources.js';

const paths = listPaths();
const sources = readSources(paths);

interface Example {
  readonly rule: rules.Rule;
  /** Files by their path: what is complained about, and what is not. */
  readonly broken: Readonly<Record<string, string>>;
  readonly kept: Readonly<Record<string, string>>;
  readonly complaints: readonly string[];
}

const examples: Readonly<Record<string, Example>> = {
  'a library imports only what the table allows': {
    rule: rules.librariesImportWhatTheTableAllows,
    broken: {
      'libs/protocol/src/a.ts': `import type { Broker } from '#broker';`,
      'libs/broker/src/b.ts': `import { limits, type Now } from '#protocol';`,
      'libs/store/src/c.ts': `export { LockedSessions } from '#locked-session';`,
      'libs/repository/src/d.ts': `const { limits } = await import('#protocol');`,
      'libs/locked-session/src/e.ts': `type R = import('#repository').SessionRepository;`,
      'libs/locked-session/src/f.ts': `import '../../../scripts/broker.js';`,
      'libs/novelty/src/g.ts': `import { limits } from '#protocol';`,
    },
    complaints: [
      'libs/protocol/src/a.ts must not import #broker',
      'libs/broker/src/b.ts may import types only from #protocol',
      'libs/store/src/c.ts must not import #locked-session',
      'libs/repository/src/d.ts must not import #protocol',
      'libs/locked-session/src/e.ts must not import #repository',
      'libs/locked-session/src/f.ts must not import ../../../scripts/broker.js',
      'libs/novelty/src/g.ts has no row in mayImport for libs/novelty',
    ],
    kept: {
      'libs/broker/src/a.ts': `import { type Now } from '#protocol'; // not import '#repository'`,
      'libs/store/src/b.ts': `import { limits } from '#protocol'; import './c.js'; const no = "import '#store'";`,
      'test/e2e/c.ts': `import { Store } from '#store'; import { LockedSessions } from '#locked-session';`,
    },
  },
  'a library is imported by its name, and nothing else from outside': {
    rule: rules.librariesAreImportedByName,
    broken: {
      'test/e2e/a.ts': `import { limits } from '../../libs/protocol/src/limits.js';`,
      'scripts/b.ts': `import type { Broker } from '../libs/broker/src/index.js';`,
      'apps/shop/src/c.ts': `import { help } from '../../store/src/main.js';`,
      'libs/store/src/d.ts': `import { World } from '../../../test/simulation/world.js';`,
    },
    complaints: [
      'test/e2e/a.ts must import #protocol, not ../../libs/protocol/src/limits.js',
      'scripts/b.ts must import #broker, not ../libs/broker/src/index.js',
      'apps/shop/src/c.ts must not import ../../store/src/main.js',
      'libs/store/src/d.ts must not import ../../../test/simulation/world.js',
    ],
    kept: { 'test/e2e/a.ts': `import { limits } from '#protocol'; import '../../scripts/processes.js';` },
  },
  'the name of a library leads to an index.ts': {
    rule: rules.namesOfLibrariesExist,
    broken: { 'apps/shop/src/a.ts': `import { limits } from '#protocol/limits';` },
    complaints: [
      'apps/shop/src/a.ts imports #protocol/limits, but there is no libs/protocol/limits/src/index.ts',
    ],
    kept: {
      'apps/shop/src/a.ts': `import { limits } from '#protocol';`,
      'libs/protocol/src/index.ts': `export { limits } from './limits.js';`,
    },
  },
  'the protocol is pure': {
    rule: rules.protocolIsPure,
    broken: {
      'libs/protocol/src/a.ts': `import { createHash } from 'node:crypto';`,
      'libs/protocol/src/b.ts': `import { z } from 'zod'; const deadline = Date.now() + 5;`,
      'libs/protocol/src/c.ts': `const delay = 5 * Math.random(); setTimeout(() => {}, delay);`,
    },
    complaints: [
      'libs/protocol/src/a.ts must not import node:crypto',
      'libs/protocol/src/b.ts must not import zod',
      'libs/protocol/src/b.ts must not use Date',
      'libs/protocol/src/c.ts must not use Math.random',
      'libs/protocol/src/c.ts must not use setTimeout',
    ],
    kept: {
      'libs/protocol/src/a.ts': `import { pack } from 'msgpackr'; const clocks = { performance: now.mono, random: dice.random };`,
      'libs/protocol/src/a.spec.ts': `import { randomBytes } from 'node:crypto';`,
      'libs/broker/src/b.ts': `import { connect } from 'node:net';`,
    },
  },
  'amqplib, classic-level and pg stay in their adapters, Express and Fastify in applications': {
    rule: rules.packagesStayAtHome,
    broken: {
      'libs/broker/src/broker.ts': `import type { Channel } from 'amqplib';`,
      'scripts/a.ts': `import { connect } from 'amqplib/callback_api.js';`,
      'libs/repository/src/group-commit.ts': `import { ClassicLevel } from 'classic-level';`,
      'libs/repository/src/level/repository.ts': `import { Pool } from 'pg';`,
      'libs/locked-session/src/scope.ts': `import type { FastifyRequest } from 'fastify';`,
      'libs/store/src/b.ts': `import '@nestjs/platform-express';`,
    },
    complaints: [
      'libs/broker/src/broker.ts must not import amqplib',
      'scripts/a.ts must not import amqplib',
      'libs/repository/src/group-commit.ts must not import classic-level',
      'libs/repository/src/level/repository.ts must not import pg',
      'libs/locked-session/src/scope.ts must not import fastify',
      'libs/store/src/b.ts must not import @nestjs/platform-express',
    ],
    kept: {
      'libs/broker/src/amqp/channel.ts': `import type { Channel } from 'amqplib';`,
      'libs/repository/src/level/rows.ts': `import { ClassicLevel } from 'classic-level';`,
      'libs/repository/src/postgres/connections.ts': `import { Pool } from 'pg';`,
      'libs/broker/src/outage.spec.ts': `import { connect } from 'amqplib';`,
      'test/fault/a.ts': `import { connect } from 'amqplib';`,
      'apps/shop/src/main.ts': `import type { Request } from 'express'; import '@nestjs/platform-fastify';`,
    },
  },
  'a folder of a library imports only what the table allows': {
    rule: rules.foldersImportWhatTheTableAllows,
    broken: {
      'libs/protocol/src/wire/a.ts': `import type { B } from '../store/b.js';`,
      'libs/protocol/src/store/b.ts': `import { c } from '../holder/c.js';`,
      'libs/locked-session/src/gate/d.ts': `import type { Scope } from '../scope/scope.js';`,
      'libs/protocol/src/novelty/e.ts': `import { limits } from '../wire/limits.js';`,
    },
    complaints: [
      'libs/protocol/src/wire/a.ts must not import ../store/b.js',
      'libs/protocol/src/store/b.ts must not import ../holder/c.js',
      'libs/locked-session/src/gate/d.ts must not import ../scope/scope.js',
      'libs/protocol/src/novelty/e.ts is in a folder without a row in folders for libs/protocol',
    ],
    kept: {
      'libs/protocol/src/index.ts': `export { a } from './store/a.js'; export { b } from './holder/b.js';`,
      'libs/protocol/src/store/a.spec.ts': `import { b } from '../testing/b.js';`,
      'libs/locked-session/src/scope/c.ts': `import { d } from '../gate/d.js'; import { e } from './e.js';`,
      'libs/store/src/f.ts': `import { limits } from '#protocol';`,
    },
  },
  'the machines of the protocol have no ancestors': {
    rule: rules.protocolHasNoAncestors,
    broken: {
      'libs/protocol/src/store/a.ts': `export abstract class A { protected b = 1; }`,
    },
    complaints: [
      'libs/protocol/src/store/a.ts must have no abstract class',
      'libs/protocol/src/store/a.ts must have nothing protected',
    ],
    kept: {
      'libs/protocol/src/store/a.ts': `class A extends Error { private b = 'protected'; }`,
      'libs/broker/src/memory/b.ts': `abstract class B { protected c = 1; }`,
    },
  },
  'a decision that safety hangs on stands in rules.ts': {
    rule: rules.decisionsStandInRules,
    broken: {
      'libs/protocol/src/store/a.ts': `if (change.seq <= grant.seq) a(); if (now.mono - since < leaseMs) b();`,
      'libs/protocol/src/holder/b.ts': `const c = compareTokens(token, other) > 0; while (deadline > now.mono) d();`,
    },
    complaints: [
      'libs/protocol/src/store/a.ts must leave to rules.ts: change.seq <= grant.seq',
      'libs/protocol/src/store/a.ts must leave to rules.ts: now.mono - since < leaseMs',
      'libs/protocol/src/holder/b.ts must leave to rules.ts: compareTokens(token, other) > 0',
      'libs/protocol/src/holder/b.ts must leave to rules.ts: compareTokens(token, other)',
      'libs/protocol/src/holder/b.ts must leave to rules.ts: deadline > now.mono',
    ],
    kept: {
      'libs/protocol/src/store/rules.ts': `export const isRepeated = (seq, applied) => seq <= applied;`,
      'libs/protocol/src/store/a.ts': `const b = rules.isRepeated(change.seq, grant.seq) && lines.length > 0;`,
      'libs/protocol/src/wire/c.ts': `const isNewer = version.epoch > other.epoch;`,
    },
  },
  'no circle among files, nor among libraries, be it by types': {
    rule: rules.nothingGoesInCircles,
    broken: {
      'libs/store/src/a.ts': `import { b } from './b.js';`,
      'libs/store/src/b.ts': `export { c } from './c.js';`,
      'libs/store/src/c.ts': `import type { A } from './a.js';`,
      'libs/protocol/src/d.ts': `import type { Broker } from '#broker';`,
      'libs/broker/src/e.ts': `import type { Now } from '#protocol';`,
    },
    complaints: [
      'a circle: libs/store/src/a.ts → libs/store/src/b.ts → libs/store/src/c.ts → libs/store/src/a.ts',
      'a circle: libs/protocol → libs/broker → libs/protocol',
    ],
    kept: {
      'libs/store/src/a.ts': `import { b } from './b.js'; import type { C } from './c.js';`,
      'libs/store/src/b.ts': `import { type C } from './c.js';`,
    },
  },
  'what is exported is named': {
    rule: rules.exportsAreNamed,
    broken: {
      'libs/store/src/a.ts': `export * from './b.js';`,
      'libs/store/src/b.ts': `export * as c from './c.js';`,
    },
    complaints: [
      `libs/store/src/a.ts must name what it exports: export * from './b.js';`,
      `libs/store/src/b.ts must name what it exports: export * as c from './c.js';`,
    ],
    kept: { 'libs/store/src/a.ts': `import * as c from './c.js'; export { c, d } from './d.js';` },
  },
  'no file has more than 400 lines without a reason': {
    rule: rules.filesAreShort,
    broken: { 'libs/store/src/a.ts': 'a();\n'.repeat(401) },
    complaints: ['libs/store/src/a.ts has 401 lines'],
    kept: {
      'libs/store/src/a.ts': 'a();\n'.repeat(400),
      'libs/store/src/b.ts': `// All of b. It is one file, since it is one table.\n${'b();\n'.repeat(500)}`,
    },
  },
  'no line has more than 110 columns': {
    rule: linesAreNarrow,
    broken: {
      'a.ts': `// ${'word '.repeat(22)}\nconst a = 1; // ${'word '.repeat(20)}`,
      'a.spec.ts': `throw new Error(\n  'because ${'of this '.repeat(14)}');\n  its(${'this, '.repeat(20)});`,
    },
    complaints: [
      'a.ts:1 has 113 columns: break it after 110',
      'a.ts:2 has 116 columns: break it after 110',
      'a.spec.ts:2 has 126 columns: break it after 110',
      'a.spec.ts:3 has 128 columns: break it after 110',
    ],
    kept: {
      'a.ts': `// ${'word '.repeat(21)}\n// See https://example.org/${'way/'.repeat(25)}`,
      'b.ts': `const b = \`${'of this '.repeat(14)}\`;\nconst c = /${'of this '.repeat(14)}/;`,
      'a.spec.ts': `  it('${'of this '.repeat(12)}', async () => {});\n  it.each([1])('${'of this '.repeat(12)}', () => {});`,
    },
  },
  'no file is one line': {
    rule: rules.filesAreWorthTheirName,
    broken: {
      'libs/store/src/a.ts': `/**\n * With a long\n * comment.\n */\nexport const a = 1;\n`,
      'libs/store/src/b.ts': `// Nothing at all.\n`,
    },
    complaints: [
      'libs/store/src/a.ts has a single line of code: it belongs into another file',
      'libs/store/src/b.ts has a single line of code: it belongs into another file',
    ],
    kept: {
      'libs/store/src/a.ts': `export interface A {\n  b: number;\n}\n`,
      'libs/store/src/index.ts': `export { a } from './a.js';\n`,
    },
  },
  'properties have time': {
    rule: rules.propertiesHaveTime,
    broken: { 'libs/store/src/a.spec.ts': `import fc from 'fast-check';` },
    complaints: [
      'libs/store/src/a.spec.ts must give its properties time: vi.setConfig({ testTimeout: 60_000 })',
    ],
    kept: {
      'libs/store/src/a.spec.ts': `import fc from 'fast-check';\nvi.setConfig({ testTimeout: 60_000 });`,
      'libs/store/src/b.spec.ts': `import { it } from 'vitest';`,
      'test/contract/c.ts': `import fc from 'fast-check';`, // of a suite that has as much time anyway
    },
  },
  'a file opens with a comment on what it is for': {
    rule: rules.filesOpenWithAComment,
    broken: {
      'libs/store/src/a.ts': `import { b } from './b.js';\n/** What b is good for, in a full sentence. */\n`,
      'libs/store/src/b.ts': `/** The b. */\nexport const b = 1;\n`,
    },
    complaints: [
      'libs/store/src/a.ts must open with a comment on what it is for',
      'libs/store/src/b.ts must open with a comment on what it is for',
    ],
    kept: {
      'apps/store/src/main.ts': `#!/usr/bin/env node\n/** The program that runs a store. */\n`,
      'libs/store/src/a.ts': `// What a is for,\n// in two lines.\n`,
    },
  },
};

describe('in this repository', () => {
  it.each(Object.entries(examples))('%s', (_name, { rule }) => {
    expect(rule(sources)).toEqual([]);
  });
});

describe('an example that breaks the rule is noticed, and its neighbour let be', () => {
  const parsed = (files: Readonly<Record<string, string>>) =>
    Object.entries(files).map(([path, text]) => parse(path, text));

  it.each(Object.entries(examples))('%s', (_name, { rule, broken, kept, complaints }) => {
    expect(rule(parsed(broken))).toEqual(complaints);
    expect(rule(parsed(kept))).toEqual([]);
  });
});

describe('decisions', () => {
  it('stand in docs/ARCHITECTURE.md as they are: npm run rules', () => {
    const text = readFileSync(join(root, 'docs/ARCHITECTURE.md'), 'utf8');
    expect(text).toBe(withTable(root, text));
  });

  it('begin with their rule: one that does not is noticed', () => {
    const source = (comment: string) =>
      `export const aRules = {\n  /** ${comment} */\n  isB: () => true,\n};`;
    expect(decisionsOf(source('Rule 9, rule 13: whether b.'))).toEqual([{ name: 'isB', rules: [9, 13] }]);
    expect(() => decisionsOf(source('Whether b, by rule 9.'))).toThrow(
      'isB: its comment must begin with its rule',
    );
  });
});

describe('rules of the protocol', () => {
  it('have a test each, whose title begins with the rule', () => {
    const protocol = readFileSync(join(root, 'docs/PROTOCOL.md'), 'utf8');
    expect(rules.rulesWithoutTest(protocol, sources)).toEqual([]);
    const text = ['one', 'two', 'three', 'four']
      .map((name, at) => `### Rule ${at + 1} (${name})\n`)
      .join('\n');
    expect(protocol.match(/^### Rule /gm)?.length).toBeGreaterThan(20);
    const spec = `describe('rules 1 and 3: x', () => it('beside rule 2', () => {})); const no = 'rule 4: y';`;
    expect(rules.rulesWithoutTest(text, [parse('libs/a/src/a.spec.ts', spec)])).toEqual([2, 4]);
  });
});

describe('names', () => {
  it('say something: no common, utils or helpers', () => {
    expect(rules.namesSaySomething(paths)).toEqual([]);
    const bad = [
      'libs/common/',
      'libs/store/src/utils.ts',
      'test/http-helper.ts',
      'apps/shop/src/cart.utils.ts',
    ];
    expect(rules.namesSaySomething([...bad, 'docs/uncommon.md', 'libs/store/src/utility-bill.ts'])).toEqual(
      bad,
    );
  });

  it('are the same in package.json as in libs', () => {
    const { imports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const libs = paths.flatMap((path) => /^libs\/([^/]+)\/$/.exec(path)?.[1] ?? []);
    const expected = libs.map((lib) => [`#${lib}`, `./dist/libs/${lib}/src/index.js`]);
    expect(imports).toEqual(Object.fromEntries(expected));
  });
});
