/**
 * `npm run rules`: writes the table of safety decisions into docs/ARCHITECTURE.md, from the sources: each
 * function of rules.ts with its rule, the part of a machine that asks it, and the tests that switch it off or
 * name its rule. The house test compares the table with the document.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

const document = 'docs/ARCHITECTURE.md';
const [begin, end] = ['<!-- decisions: npm run rules -->', '<!-- end of decisions -->'];
const sides = ['store', 'holder'] as const;
const maxTests = 3;

interface Decision {
  readonly name: string;
  /** The numbers of docs/PROTOCOL.md, the first one leading. */
  readonly rules: readonly number[];
}

/** The document with the table of the present sources. Throws when a decision names no rule. */
export function withTable(root: string, text: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < 0) throw new Error(`${document} must have ${begin} and ${end}`);
  return `${text.slice(0, from)}${begin}\n\n${tableOf(root)}\n\n${text.slice(to)}`;
}

function tableOf(root: string): string {
  const tests = [...filesIn(root, 'libs'), ...filesIn(root, 'test')].filter((path) =>
    /\.spec\.ts$|\/canaries\.ts$/.test(path),
  );
  const texts = new Map(tests.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
  const rows = sides.flatMap((side) => {
    const folder = `libs/protocol/src/${side}`;
    const callers = side === 'store' ? [folder, 'libs/store/src'] : [folder];
    const parts = callers
      .flatMap((place) => filesIn(root, place))
      .filter((path) => !/rules\.ts$|\.spec\.ts$/.test(path));
    return decisionsOf(readFileSync(join(root, folder, 'rules.ts'), 'utf8')).map(({ name, rules }) => {
      const asked = parts.filter((path) => asks(readFileSync(join(root, path), 'utf8'), name));
      return `| ${rules.join(', ')} | ${side}: \`${name}\` | ${names(asked)} | ${testsOf(texts, name, rules[0]!)} |`;
    });
  });
  const byRule = (one: string, other: string) => Number(/\d+/.exec(one)![0]) - Number(/\d+/.exec(other)![0]);
  return ['| rule | decision | asked by | shown by |', '|---|---|---|---|', ...rows.sort(byRule)].join('\n');
}

/** Each function of a rules.ts, with the rules that its comment begins with. */
export function decisionsOf(source: string): Decision[] {
  const tree = ts.createSourceFile('rules.ts', source, ts.ScriptTarget.Latest, true);
  const found: Decision[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && node.name.getText().endsWith('Rules')) {
      for (const property of (node.initializer as ts.ObjectLiteralExpression).properties) {
        const comment = ts.getJSDocCommentsAndTags(property)[0]?.getText() ?? '';
        const told = /^\/\*\*[\s*]*Rule (\d+)((?:, rule \d+)*)[:,]/.exec(comment);
        if (!told) throw new Error(`${property.name!.getText()}: its comment must begin with its rule`);
        const more = told[2]!.match(/\d+/g) ?? [];
        found.push({ name: property.name!.getText(), rules: [told[1]!, ...more].map(Number) });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

const asks = (text: string, name: string) => new RegExp(`rules\\.${name}\\(`).test(text);

/** The tests that replace the decision, or else the tests whose titles name the rule. */
function testsOf(texts: ReadonlyMap<string, string>, name: string, rule: number): string {
  const off = new RegExp(`\\b${name}\\b(: \\(|,$| \\}(?! =))`, 'm');
  const title = new RegExp(`(it|describe)[^\\n]*rule ${rule}\\b`);
  const those = (is: RegExp) => [...texts].filter(([, text]) => is.test(text)).map(([path]) => path);
  const switched = those(off).filter((path) => /[rR]ules|(store|holder): \{/.test(texts.get(path)!));
  return switched.length > 0 ? `${names(switched)}, switched off` : names(those(title)) || '–';
}

function names(paths: readonly string[]): string {
  const shown = paths.slice(0, maxTests).map((path) => basename(path).replace(/\.ts$/, ''));
  return [...new Set(shown)].join(', ') + (paths.length > maxTests ? ', …' : '');
}

function filesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return filesIn(root, path);
      return path.endsWith('.ts') ? [path] : [];
    })
    .sort();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const root = process.cwd();
  const path = join(root, document);
  writeFileSync(path, withTable(root, readFileSync(path, 'utf8')));
  console.log(`${document} has the table of decisions`);
}
