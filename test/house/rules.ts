/**
 * The rules of the house, each a function from all source files to its complaints. A new library gets a row in `mayImport`; a
 * package that must stay in one place gets one in `homes`. To change any other rule, write an ADR first.
 */
import ts from 'typescript';
import { walk, type Import, type Source } from './sources.js';

/** A complaint names the file, and says what to do where that is not plain. */
export type Rule = (sources: readonly Source[]) => string[];

/** What each library may import of the others: all of it, or its types only. */
const mayImport: Readonly<Record<string, Readonly<Record<string, 'all' | 'types'>>>> = {
  'libs/protocol': {},
  'libs/broker': { 'libs/protocol': 'types' },
  'libs/repository': {},
  'libs/store': { 'libs/protocol': 'all', 'libs/broker': 'all', 'libs/repository': 'all' },
  'libs/locked-session': { 'libs/protocol': 'all', 'libs/broker': 'all' },
  'libs/embedded': {
    'libs/broker': 'all',
    'libs/repository': 'all',
    'libs/store': 'all',
    'libs/locked-session': 'all',
  },
};

/** Packages that are known in one place only, be it by their types. Specs and tests are free: they break things. */
const homes: readonly (readonly [packages: RegExp, home: RegExp])[] = [
  [/^amqplib$/, /^libs\/broker\/src\/amqp[^/]*\.ts$/],
  [/^classic-level$/, /^libs\/repository\/src\/level[^/]*\.ts$/],
  [/^pg$/, /^libs\/repository\/src\/postgres[^/]*\.ts$/],
  // An application picks its platform, and no library knows which: Nest's HTTP adapter tells them apart.
  [/^(express|fastify|express-serve-static-core|@nestjs\/platform-(express|fastify))$/, /^apps\//],
];

const isLib = (part: string) => part.startsWith('libs/');

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

/**
 * A circle of values is never allowed: whoever is loaded first sees the other half unfinished. Types are gone by then, so
 * the files of one library may name each other's types in a circle: they are read together anyway. Libraries
 * may not, even by types: each must be understood with only those below it.
 */
export const nothingGoesInCircles: Rule = (sources) => {
  const files = graph();
  const parts = graph();
  for (const { path, part, imports } of sources) {
    for (const { file, typeOnly } of imports) {
      if (file === undefined) continue;
      if (!typeOnly) files.add(path, file);
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

export const longerThan = (sources: readonly Source[], lines: number): string[] =>
  sources
    .map(({ path, text }) => ({ path, count: text.trimEnd().split('\n').length }))
    .filter(({ count }) => count > lines)
    .map(({ path, count }) => `${path} has ${count} lines`);

export const filesAreShort: Rule = (sources) => longerThan(sources, 600);

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

function partOf(path: string): string {
  const [top = '', name = ''] = path.split('/');
  return top === 'libs' || top === 'apps' ? `${top}/${name}` : top;
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
