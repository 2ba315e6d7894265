/**
 * The titles of tests that documents quote. Each quoted title is that of a test in this repository, so that a
 * reader finds the test that a row of a table names.
 */
import ts from 'typescript';
import { walk, type Source } from './sources.js';

/** `it('…', …)`, `describe.each(…)('…', …)` and the like, and the steps of test/package. */
export function isTestCall(node: ts.Node): node is ts.CallExpression {
  return ts.isCallExpression(node) && /^(it|test|describe|step)\b/.test(node.expression.getText());
}

/**
 * A complaint for each title in the last column of a table, if that column is headed as one of tests, that no
 * test has.
 */
export function missingTitles(document: string, text: string, sources: readonly Source[]): string[] {
  const titles = [...new Set(sources.flatMap(titlesOf))];
  const isTitle = (quoted: string) =>
    titles.some((title) => meet(title, quoted) && (!title.includes(any) || shareWords(title, quoted)));
  return quotedTitles(text)
    .filter((quoted) => !isTitle(quoted.replaceAll(/ ?… ?/g, any)))
    .map((quoted) => `${document} names the test "${quoted}", and there is none`);
}

export function quotedTitles(text: string): string[] {
  const quoted: string[] = [];
  let isOfTests = false;
  for (const line of text.split('\n')) {
    const last = /^\|.*\| ?(.*?) ?\|$/.exec(line)?.[1];
    if (last === undefined) isOfTests = false;
    else if (last === 'test' || last === 'reproduced by') isOfTests = true;
    else if (isOfTests) quoted.push(...Array.from(last.matchAll(/"([^"]+)"/g), ([, title]) => title!));
  }
  return quoted;
}

/** Stands for any text, also for none. */
const any = '\0';

/** Each title, alone and behind those of the groups around it, with and without the rule at its beginning. */
function titlesOf({ tree }: Source): string[] {
  const found: string[] = [];
  const ends = new Map<ts.Node, string[]>();
  walk(tree, (node) => {
    const title = isTestCall(node) ? titleOf(node.arguments[0]) : undefined;
    if (title === undefined) return;
    const outer = ts.findAncestor(node.parent, (ancestor) => ends.has(ancestor));
    const around = outer ? ends.get(outer)! : [];
    const joined = [title, ...around.map((end) => `${end} ${title}`)];
    ends.set(node, joined);
    found.push(...joined.flatMap((one) => [one, one.replace(/^(rules?|race) [\d, and]+: /, '')]));
  });
  return found;
}

/** A title's text, with `any` for what is filled in when the test runs: `${…}`, `%s` and `$name`. */
function titleOf(node: ts.Node | undefined): string | undefined {
  if (node && ts.isStringLiteralLike(node)) return node.text.replaceAll(/%[sdijo]|\$[\w.]+/g, any);
  if (!node || !ts.isTemplateExpression(node)) return undefined;
  return [node.head, ...node.templateSpans.map(({ literal }) => literal)].map(({ text }) => text).join(any);
}

/** Whether one text can be both. */
function meet(one: string, other: string): boolean {
  if (one === '' || other === '') return (one + other).replaceAll(any, '') === '';
  if (one[0] === any) return meet(one.slice(1), other) || meet(one, other.slice(1));
  if (other[0] === any) return meet(other, one);
  return one[0] === other[0] && meet(one.slice(1), other.slice(1));
}

/** Whether both have the same two words in a row. Else a title that begins with `any` would fit each text. */
function shareWords(one: string, other: string): boolean {
  const pairs = pairsOfWords(one);
  return pairsOfWords(other).some((pair) => pairs.includes(pair));
}

function pairsOfWords(text: string): string[] {
  return text.split(any).flatMap((part) => {
    const words = part.split(' ').filter((word) => word !== '');
    return words.slice(1).map((word, at) => `${words[at]} ${word}`);
  });
}
