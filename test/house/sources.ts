/**
 * The source files of this repository as the house rules see them: where they stand and what they import.
 * They are read from the compiler's syntax tree, which takes no comment and no string for an import.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export interface Source {
  /** From the root of the repository, with slashes: `libs/protocol/src/wire/codec.ts`. */
  readonly path: string;
  readonly text: string;
  /** What it belongs to, as `partOf` says. */
  readonly part: string;
  readonly isSpec: boolean;
  readonly tree: ts.SourceFile;
  readonly imports: readonly Import[];
}

export interface Import {
  readonly specifier: string;
  /** The path of one of our own files, for `#name` and relative specifiers; undefined for a package. */
  readonly file: string | undefined;
  /** The name of the package, without what follows it: `node:fs`, `@nestjs/common`; undefined for our own. */
  readonly package: string | undefined;
  /** Nothing of it is left in the JavaScript. What is written counts, not what the compiler could elide. */
  readonly typeOnly: boolean;
}

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Every path below the root that is ours, folders with a slash at their end. */
export function listPaths(folder = ''): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (
      entry.name.startsWith('.') ||
      ['node_modules', 'dist', 'data', 'coverage', 'test-artifacts'].includes(path)
    )
      return [];
    return entry.isDirectory() ? [`${path}/`, ...listPaths(path)] : [path];
  });
}

export function readSources(paths: readonly string[]): Source[] {
  return paths
    .filter((path) => /\.[mc]?[jt]s$/.test(path))
    .map((path) => parse(path, readFileSync(join(root, path), 'utf8')));
}

export function parse(path: string, text: string): Source {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  return { path, text, part: partOf(path), isSpec: path.includes('.spec.'), tree, imports: importsOf(tree) };
}

/** What a path belongs to: `libs/protocol`, `apps/store`, `scripts`, `test`; empty at the root. */
export function partOf(path: string): string {
  const [top = '', name = ''] = path.split('/');
  if (name === '') return '';
  return top === 'libs' || top === 'apps' ? `${top}/${name}` : top;
}

export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

function importsOf(tree: ts.SourceFile): Import[] {
  const imports: Import[] = [];
  const add = (specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (specifier && ts.isStringLiteralLike(specifier)) {
      imports.push({ ...resolve(tree.fileName, specifier.text), typeOnly });
    }
  };
  walk(tree, (node) => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, importsTypesOnly(node.importClause));
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, exportsTypesOnly(node));
    else if (ts.isExternalModuleReference(node)) add(node.expression, false);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add(node.argument.literal, true);
    else if (ts.isCallExpression(node) && isLoader(node.expression)) add(node.arguments[0], false);
  });
  return imports;
}

function importsTypesOnly(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const named = clause.namedBindings;
  return !clause.name && !!named && ts.isNamedImports(named) && allTypes(named.elements);
}

function exportsTypesOnly({ isTypeOnly, exportClause }: ts.ExportDeclaration): boolean {
  return isTypeOnly || (!!exportClause && ts.isNamedExports(exportClause) && allTypes(exportClause.elements));
}

function allTypes(elements: readonly (ts.ImportSpecifier | ts.ExportSpecifier)[]): boolean {
  return elements.length > 0 && elements.every((element) => element.isTypeOnly);
}

/** `import(…)` and `require(…)`. */
function isLoader(callee: ts.Expression): boolean {
  return (
    callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require')
  );
}

function resolve(from: string, specifier: string): Omit<Import, 'typeOnly'> {
  const own = (file: string) => ({ specifier, file, package: undefined });
  if (specifier.startsWith('#')) return own(`libs/${specifier.slice(1)}/src/index.ts`);
  if (specifier.startsWith('.')) {
    return own(posix.join(posix.dirname(from), specifier.replace(/\.js$/, '.ts')));
  }
  const names = specifier.split('/');
  const name = specifier.startsWith('@') ? names.slice(0, 2).join('/') : names[0];
  return { specifier, file: undefined, package: name };
}
