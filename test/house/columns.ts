/** How wide a source file may be: code, comments, and texts that can be broken. */
import ts from 'typescript';
import type { Rule } from './rules.js';
import { walk, type Source } from './sources.js';
import { isTestCall } from './titles.js';

const columns = 110;

export const linesAreNarrow: Rule = (sources) => sources.flatMap(wideLines);

function wideLines({ path, text, tree }: Source): string[] {
  const wide = text.split('\n').flatMap((line, index) => (line.length > columns ? [{ line, index }] : []));
  if (wide.length === 0) return [];
  const unbreakable = literalsOf(tree);
  return wide
    .filter(({ line, index }) => {
      const position = tree.getLineStarts()[index]! + columns;
      return !address.test(line) && !unbreakable.some(([from, to]) => from <= position && position < to);
    })
    .map(({ line, index }) => `${path}:${index + 1} has ${line.length} columns: break it after ${columns}`);
}

/** An address has no place where it could be broken. */
const address = /\w:\/\/\S{40}/;

/** A regular expression or a template means something else when broken. A test is found by its title. */
function literalsOf(tree: ts.SourceFile): [from: number, to: number][] {
  const found: [number, number][] = [];
  walk(tree, (node) => {
    const isTemplate = ts.isTemplateExpression(node) || ts.isNoSubstitutionTemplateLiteral(node);
    const isTitle = ts.isStringLiteral(node) && isTestCall(node.parent);
    // What follows a title stands on its line: `, () => {`.
    if (isTitle) found.push([node.getStart(), node.getEnd() + ', async () => {'.length]);
    else if (isTemplate || ts.isRegularExpressionLiteral(node))
      found.push([node.getStart(), node.getEnd() + ','.length]);
  });
  return found;
}
