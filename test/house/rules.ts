/**
 * The rules of the house. Each is a function from all source files to its complaints.
 * A new library gets a row in `mayImport`. A package that must stay in one place gets a row in `homes`.
 * To change any other rule, write an ADR first.
 */
import ts from 'typescript';
import { partOf, walk, type Import, type Source } from './sources.js';

/** A complaint names the file, and says what to do where that is not plain. */
export type Rule = (sources: readonly Source[]) => string[];

/** What each library may import of the others: all of it, or its types only. */
const mayImport: Readonly<Record<string, Readonly<Record<string, 'all' | 'types'>>>> = {
  'libs/settings': {},
  'libs/protocol': {},
  'libs/trace': { 'libs/settings': 'all' },
  'libs/broker': { 'libs/protocol': 'types' },
  'libs/repository': {},
  'libs/store': {
    'libs/protocol': 'all',
    'libs/trace': 'types',
    'libs/broker': 'all',
    'libs/repository': 'all',
  },
  'libs/store-service': {
    'libs/settings': 'all',
    'libs/trace': 'all',
    'libs/protocol': 'types',
    'libs/broker': 'all',
    'libs/repository': 'all',
    'libs/store': 'all',
  },
  'libs/locked-session': {
    'libs/settings': 'all',
    'libs/protocol': 'all',
    'libs/trace': 'all',
    'libs/broker': 'all',
  },
  'libs/embedded': {
    'libs/settings': 'all',
    'libs/trace': 'all',
    'libs/broker': 'all',
    'libs/repository': 'all',
    'libs/store': 'all',
    'libs/locked-session': 'all',
  },
  'libs/express': { 'libs/broker': 'all', 'libs/locked-session': 'all' },
  // It runs in applications that have nothing else of us, whatever they are made with.
  'libs/meter': { 'libs/settings': 'all' },
};

/** Packages that one place alone may import, be it their types. Specs and tests are free. */
const homes: readonly (readonly [packages: RegExp, home: RegExp])[] = [
  [/^amqplib$/, /^libs\/broker\/src\/amqp\//],
  [/^classic-level$/, /^libs\/repository\/src\/level\//],
  [/^pg$/, /^libs\/repository\/src\/postgres\//],
  // Types alone: applications that come from express-session have them.
  [/^express-session$/, /^libs\/express\//],
  // An application picks its platform, and no library knows which: Nest's HTTP adapter tells them apart.
  [/^(express|fastify|express-serve-static-core|@nestjs\/platform-(express|fastify))$/, /^apps\//],
  // Nor does one know whose sessions it measures.
  [/^(connect-redis|@fastify\/(session|cookie))$/, /^apps\//],
  [/^(@nestjs\/(common|core|microservices)|rxjs)$/, /^(apps|scripts|libs\/(?!meter\/))/],
];

const isLib = (part: string) => part.startsWith('libs/');

/** What a folder of a library may import of its other folders. The index.ts and the specs import all. */
const folders: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'libs/protocol': { wire: [], store: ['wire'], holder: ['wire'], testing: ['wire', 'store', 'holder'] },
  'libs/broker': { '': [], amqp: [''], memory: [''] },
  'libs/trace': { '': [], writing: [''], checking: [''], testing: [''] },
  'libs/repository': { '': [], level: [''], postgres: [''], memory: [''] },
  'libs/locked-session': {
    '': [],
    locks: [''],
    testing: ['', 'locks'],
    gate: ['', 'locks'],
    holder: ['', 'gate'],
    scope: ['', 'locks', 'gate'],
    sessions: ['', 'locks', 'gate', 'holder', 'scope'],
    nest: ['', 'locks', 'gate', 'scope', 'sessions'],
  },
};

export const foldersImportWhatTheTableAllows: Rule = (sources) =>
  eachImport(sources, (source, { specifier, file }) => {
    const table = folders[source.part];
    if (!table || file === undefined || source.isSpec || isFace(source.path)) return undefined;
    const [from, to] = [folderOf(source.path), folderOf(file)];
    if (from === to || partOf(file) !== source.part) return undefined;
    const allowed = table[from];
    if (!allowed) return `is in a folder without a row in folders for ${source.part}`;
    return allowed.includes(to) ? undefined : `must not import ${specifier}`;
  });

const isFace = (path: string) => /^libs\/[^/]+\/src\/index\.ts$/.test(path);
const folderOf = (path: string) => /^libs\/[^/]+\/src\/(?:([^/]+)\/)?/.exec(path)?.[1] ?? '';

/** The protocol's machines are made of parts: an ancestor would hide who owns which state. */
export const protocolHasNoAncestors: Rule = (sources) =>
  sources
    .filter(({ part, isSpec }) => part === 'libs/protocol' && !isSpec)
    .flatMap(({ path, tree }) => {
      const found: string[] = [];
      walk(tree, (node) => {
        if (node.kind === ts.SyntaxKind.AbstractKeyword) found.push(`${path} must have no abstract class`);
        if (node.kind === ts.SyntaxKind.ProtectedKeyword) found.push(`${path} must have nothing protected`);
      });
      return found;
    });

/** Safety depends on these. A comparison is a decision, which stands in rules.ts with its rule's number. */
const decisive =
  /^(.*lease(Ms|End)|.*deadline|.*epoch|.*token|seq|acknowledged|appliedThrough|.*timeoutMs|outOfUseAt|dueAt)$/i;
const orders = new Set([
  ts.SyntaxKind.LessThanToken,
  ts.SyntaxKind.LessThanEqualsToken,
  ts.SyntaxKind.GreaterThanToken,
  ts.SyntaxKind.GreaterThanEqualsToken,
]);

export const decisionsStandInRules: Rule = (sources) =>
  sources
    .filter(({ path, isSpec }) => /^libs\/protocol\/src\/(store|holder)\//.test(path) && !isSpec)
    .filter(({ path }) => !path.endsWith('/rules.ts'))
    .flatMap(({ path, tree }) => {
      const found: string[] = [];
      walk(tree, (node) => {
        const isOrder = ts.isBinaryExpression(node) && orders.has(node.operatorToken.kind);
        const isCall = ts.isCallExpression(node) && node.expression.getText().startsWith('compare');
        if (!isCall && !(isOrder && mentions(node, decisive))) return;
        found.push(`${path} must leave to rules.ts: ${node.getText().replace(/\s+/g, ' ')}`);
      });
      return found;
    });

function mentions(node: ts.Node, names: RegExp): boolean {
  let found = false;
  walk(node, (inner) => void (found ||= ts.isIdentifier(inner) && names.test(inner.text)));
  return found;
}

export const librariesImportWhatTheTableAllows: Rule = (sources) =>
  eachImport(sources, (source, { specifier, file, typeOnly }) => {
    if (file === undefined || !isLib(source.part)) return undefined;
    const allowed = mayImport[source.part];
    if (!allowed) return `has no row in mayImport for ${source.part}`;
    const part = partOf(file);
    if (part === source.part) return undefined;
    if (!allowed[part]) return `must not import ${specifier}`;
    return allowed[part] === 'types' && !typeOnly ? `may import types only from ${specifier}` : undefined;
  });

/** So that a library is what its index.ts says, to everybody. */
export const librariesAreImportedByName: Rule = (sources) =>
  eachImport(sources, (source, { specifier, file }) => {
    if (file === undefined || specifier.startsWith('#')) return undefined;
    const part = partOf(file);
    if (part === source.part || (source.part === 'test' && part === 'scripts')) return undefined;
    return isLib(part) ? `must import #${part.slice(5)}, not ${specifier}` : `must not import ${specifier}`;
  });

export const namesOfLibrariesExist: Rule = (sources) => {
  const paths = new Set(sources.map(({ path }) => path));
  return eachImport(sources, (_source, { specifier, file }) =>
    specifier.startsWith('#') && !paths.has(file!)
      ? `imports ${specifier}, but there is no ${file}`
      : undefined,
  );
};

export const protocolIsPure: Rule = (sources) => {
  const protocol = sources.filter(({ part, isSpec }) => part === 'libs/protocol' && !isSpec);
  const imported = eachImport(protocol, (_source, { package: name }) =>
    name === undefined || name === 'msgpackr' ? undefined : `must not import ${name}`,
  );
  return [...imported, ...protocol.flatMap(impurities)];
};

/** Time and randomness come in as arguments; the rest is I/O. */
const impure =
  /^(Date|performance|crypto|process|globalThis|Buffer|console|fetch|set(Timeout|Interval|Immediate)|queueMicrotask)$/;

function impurities({ path, tree }: Source): string[] {
  const found: string[] = [];
  walk(tree, (node) => {
    if (ts.isPropertyAccessExpression(node) && node.getText() === 'Math.random') {
      found.push(`${path} must not use Math.random`);
    }
    if (!ts.isIdentifier(node) || !impure.test(node.text)) return;
    const isName = 'name' in node.parent && node.parent.name === node;
    if (!isName) found.push(`${path} must not use ${node.text}`);
  });
  return found;
}

export const packagesStayAtHome: Rule = (sources) =>
  eachImport(sources, (source, { package: name }) => {
    const [, home] = homes.find(([packages]) => packages.test(name ?? '')) ?? [];
    if (!home || source.isSpec || source.part === 'test' || home.test(source.path)) return undefined;
    return `must not import ${name}`;
  });

/** Not even by types: each file, and each library, must be understood with only those below it. */
export const nothingGoesInCircles: Rule = (sources) => {
  const files = graph();
  const parts = graph();
  for (const { path, part, imports } of sources) {
    for (const { file } of imports) {
      if (file === undefined) continue;
      files.add(path, file);
      if (partOf(file) !== part) parts.add(part, partOf(file));
    }
  }
  return [files, parts].flatMap(({ edges }) => {
    const circle = findCircle(edges);
    return circle ? [`a circle: ${circle.join(' → ')}`] : [];
  });
};

export const exportsAreNamed: Rule = (sources) =>
  sources.flatMap(({ path, tree }) =>
    tree.statements
      .filter(ts.isExportDeclaration)
      .filter(({ exportClause }) => !exportClause || ts.isNamespaceExport(exportClause))
      .map((statement) => `${path} must name what it exports: ${statement.getText()}`),
  );

/** A longer one is several, or says in its opening comment why it is one: by the words "one file". */
export const filesAreShort: Rule = (sources) =>
  sources
    .filter(({ text }) => !/one\s(\*\s|\/\/\s)?file/.test(text.slice(0, 1_000)))
    .map(({ path, text }) => ({ path, count: text.trimEnd().split('\n').length }))
    .filter(({ count }) => count > 400)
    .map(({ path, count }) => `${path} has ${count} lines`);

/** But for a library's index.ts, which is its face, however small. */
export const filesAreWorthTheirName: Rule = (sources) =>
  sources
    .filter(({ path }) => !/^libs\/[^/]+\/src\/index\.ts$/.test(path))
    .filter(({ tree }) => {
      const [first, last] = [tree.statements[0], tree.statements.at(-1)];
      const line = (position: number) => tree.getLineAndCharacterOfPosition(position).line;
      return !first || !last || line(first.getStart()) === line(last.getEnd());
    })
    .map(({ path }) => `${path} has a single line of code: it belongs into another file`);

/** A paragraph on what the file is for: five words at least. */
export const filesOpenWithAComment: Rule = (sources) =>
  sources
    .filter(({ text }) => {
      const body = text.replace(/^#!.*\n/, '');
      const comment = /^(\/\*[^]*?\*\/|(\/\/.*\n)+)/.exec(body)?.[0] ?? '';
      return (comment.match(/\w+/g) ?? []).length < 5;
    })
    .map(({ path }) => `${path} must open with a comment on what it is for`);

/** Of paths, and not only of sources: a name that says nothing collects what belongs elsewhere. */
export const namesSaySomething = (paths: readonly string[]): string[] =>
  paths.filter((path) => /(^|[/._-])(common|utils?|helpers?)([/._-][^/]*)?\/?$/i.test(path));

/** A rule of docs/PROTOCOL.md without a test is a wish. The title of a test begins with the rule. */
export function rulesWithoutTest(protocol: string, sources: readonly Source[]): number[] {
  const rules = [...protocol.matchAll(/^### Rule (\d+) /gm)].map(([, number]) => Number(number));
  const named = new Set<number>();
  for (const { tree } of sources.filter(({ isSpec }) => isSpec)) {
    walk(tree, (node) => {
      if (!ts.isCallExpression(node) || !/^(it|describe)\b/.test(node.expression.getText())) return;
      const [title] = node.arguments;
      if (!title || !ts.isStringLiteralLike(title)) return;
      const [, numbers = ''] = /^rules? ([\d, and]+):/.exec(title.text) ?? [];
      for (const [number] of numbers.matchAll(/\d+/g)) named.add(Number(number));
    });
  }
  return rules.filter((number) => !named.has(number));
}

/** A property's runs are many: on a busy machine they take longer than a test usually may. */
export const propertiesHaveTime: Rule = (sources) =>
  sources
    .filter(({ part, isSpec }) => isSpec && isLib(part))
    .filter(({ imports }) => imports.some(({ package: name }) => name === 'fast-check'))
    .filter(({ text }) => !/vi\.setConfig\(\{ testTimeout: 60_000 \}\)/.test(text))
    .map(({ path }) => `${path} must give its properties time: vi.setConfig({ testTimeout: 60_000 })`);

function eachImport(
  sources: readonly Source[],
  complaint: (source: Source, imported: Import) => string | undefined,
): string[] {
  return sources.flatMap((source) =>
    source.imports.flatMap((imported) => {
      const said = complaint(source, imported);
      return said === undefined ? [] : [`${source.path} ${said}`];
    }),
  );
}

type Edges = Map<string, Set<string>>;

function graph() {
  const edges: Edges = new Map();
  const add = (from: string, to: string) => edges.set(from, (edges.get(from) ?? new Set()).add(to));
  return { edges, add };
}

/** Some way that ends where it began. */
function findCircle(edges: Edges): string[] | undefined {
  const done = new Set<string>();
  const search = (node: string, way: string[]): string[] | undefined => {
    if (way.includes(node)) return [...way.slice(way.indexOf(node)), node];
    if (done.has(node)) return undefined;
    for (const next of edges.get(node) ?? []) {
      const circle = search(next, [...way, node]);
      if (circle) return circle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of edges.keys()) {
    const circle = search(node, []);
    if (circle) return circle;
  }
  return undefined;
}
