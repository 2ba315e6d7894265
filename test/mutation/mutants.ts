/**
 * Small faults, made from the syntax tree of a source: a border of a comparison moves, an operand or a
 * statement goes, a condition is always true. All mutants of a file are compiled in at once. Each stands
 * behind `__mutant(id)`, which says whether it is the active one. So another mutant costs no other build.
 * Types, errors that are thrown, texts and logs are left alone.
 */
import ts from 'typescript';

export interface Mutant {
  readonly id: number;
  readonly file: string;
  /** The line that it begins in, counted from 1. */
  readonly line: number;
  /** That line's text. It stays when the line moves. */
  readonly text: string;
  /** What is written, and what the mutant makes of it. */
  readonly mutation: string;
  /** How many mutants of the file have the same text and mutation before it. */
  readonly nth: number;
}

/** What a mutant makes of an expression or a statement. */
interface Variant {
  readonly code: string;
  readonly told: string;
}

const kinds = ts.SyntaxKind;

/** Operators, and what each becomes. */
const swapped = new Map<ts.SyntaxKind, string>([
  [kinds.LessThanToken, '<='],
  [kinds.LessThanEqualsToken, '<'],
  [kinds.GreaterThanToken, '>='],
  [kinds.GreaterThanEqualsToken, '>'],
  [kinds.EqualsEqualsEqualsToken, '!=='],
  [kinds.ExclamationEqualsEqualsToken, '==='],
  [kinds.AmpersandAmpersandToken, '||'],
  [kinds.BarBarToken, '&&'],
  [kinds.PlusToken, '-'],
  [kinds.MinusToken, '+'],
  [kinds.AsteriskToken, '/'],
  [kinds.SlashToken, '*'],
  [kinds.PlusEqualsToken, '-='],
  [kinds.MinusEqualsToken, '+='],
  [kinds.QuestionQuestionEqualsToken, '='],
]);
/** Of these, one side alone is left, too. */
const droppable = new Set([kinds.AmpersandAmpersandToken, kinds.BarBarToken, kinds.QuestionQuestionToken]);
const comparisons = new Set([
  kinds.LessThanToken,
  kinds.LessThanEqualsToken,
  kinds.GreaterThanToken,
  kinds.GreaterThanEqualsToken,
  kinds.EqualsEqualsEqualsToken,
  kinds.ExclamationEqualsEqualsToken,
  kinds.InstanceOfKeyword,
  kinds.InKeyword,
]);

const maxTold = 160;

/** The source with its mutants compiled in. Their numbers begin at `firstId`. */
export function mutate(file: string, source: string, firstId = 0) {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true);
  const lines = source.split('\n');
  const mutants: Mutant[] = [];
  const seen = new Map<string, number>();

  const add = (node: ts.Node, { told }: Variant): string => {
    const line = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line;
    const text = lines[line]!.trim();
    const key = `${text}\n${told}`;
    const nth = seen.get(key) ?? 0;
    seen.set(key, nth + 1);
    mutants.push({ id: firstId + mutants.length, file, line: line + 1, text, mutation: told, nth });
    return `__mutant(${mutants.at(-1)!.id})`;
  };

  const render = (node: ts.Node): string => {
    if (isLeftAlone(node)) return node.getText(tree);
    const variants = variantsOf(node).map((variant) => [add(node, variant), variant] as const);
    let code = '';
    let at = node.getStart(tree);
    ts.forEachChild(node, (child) => {
      const start = child.getStart(tree);
      code += source.slice(at, start) + render(child);
      at = child.getEnd();
    });
    code += source.slice(at, node.getEnd());
    if (variants.length === 0) return code;
    if (ts.isExpressionStatement(node)) return `{ if (!${variants[0]![0]}) ${code} }`;
    return `(${variants.map(([isActive, { code: other }]) => `${isActive} ? (${other}) : `).join('')}${code})`;
  };
  return { code: source.slice(0, tree.getStart(tree)) + render(tree), mutants };
}

/** Types, what is thrown, texts, logs, and what names modules. */
function isLeftAlone(node: ts.Node): boolean {
  return (
    ts.isTypeNode(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isImportDeclaration(node) ||
    ts.isExportDeclaration(node) ||
    ts.isDecorator(node) ||
    ts.isEnumDeclaration(node) ||
    ts.isThrowStatement(node) ||
    ts.isTemplateExpression(node) ||
    (ts.isExpressionStatement(node) && /^(super\(|(this\.|this\.#)?(\w+\.)?log\b)/.test(node.getText()))
  );
}

function variantsOf(node: ts.Node): Variant[] {
  if (ts.isExpressionStatement(node)) return [{ code: '', told: `${textOf(node)} → (removed)` }];
  if (!isExpression(node)) return [];
  const own = ownVariants(node);
  const isResult = isReturned(node);
  if (isResult && isVoid(functionOf(node))) return [...own, becoming(node, 'undefined')];
  const truths = truthsOf(node, isResult).filter((truth) => node.getText() !== truth);
  return [...own, ...truths.map((truth) => becoming(node, truth))];
}

/** Each node that an expression in parentheses may stand for. The others are names and parts. */
function isExpression(node: ts.Node): node is ts.Expression {
  return ts.isExpression(node) && !ts.isParenthesizedExpression(node);
}

function ownVariants(node: ts.Expression): Variant[] {
  if (ts.isBinaryExpression(node)) return binaryVariants(node);
  if (ts.isPrefixUnaryExpression(node) && node.operator === kinds.ExclamationToken) {
    return [becoming(node, node.operand.getText())];
  }
  const text = node.getText();
  const isCount = ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node);
  const other = (isCount && !isStep(node) ? counts : calls).find(([from]) => text.includes(from));
  const isCall = ts.isCallExpression(node) && /^Math\.(min|max)$/.test(node.expression.getText());
  return other && (isCount || isCall) ? [becoming(node, text.replace(other[0], other[1]))] : [];
}

const counts = [
  ['++', '--'],
  ['--', '++'],
] as const;
const calls = [
  ['Math.min', 'Math.max'],
  ['Math.max', 'Math.min'],
] as const;

function binaryVariants(node: ts.BinaryExpression): Variant[] {
  const { kind } = node.operatorToken;
  const [left, right] = [node.left.getText(), node.right.getText()];
  const other = swapped.get(kind);
  const found: Variant[] = [];
  const makesText = kind === kinds.PlusToken && [node.left, node.right].some(isText);
  if (other !== undefined && !makesText) found.push(becoming(node, `${left} ${other} ${right}`));
  if (droppable.has(kind)) found.push(becoming(node, left), becoming(node, right));
  return found;
}

const isText = (node: ts.Expression): boolean =>
  ts.isStringLiteralLike(node) ||
  ts.isTemplateExpression(node) ||
  (ts.isBinaryExpression(node) && (isText(node.left) || isText(node.right)));

/** `i++` of a `for`: the other way round it only never ends. */
const isStep = (node: ts.Node) => ts.isForStatement(node.parent) && node.parent.incrementor === node;

/** Whether the expression is always this instead, where it decides or is a function's yes or no. */
function truthsOf(node: ts.Expression, isResult: boolean): ('true' | 'false')[] {
  const outer = around(node);
  const { parent } = outer;
  if (conditionOf(parent) === outer) return ['true', 'false'];
  // A loop that goes on for ever is always noticed.
  if (loopConditionOf(parent) === outer) return node.kind === kinds.TrueKeyword ? [] : ['false'];
  return isResult && (isTruth(node) || isBoolean(functionOf(node))) ? ['true', 'false'] : [];
}

function conditionOf(node: ts.Node): ts.Node | undefined {
  if (ts.isIfStatement(node)) return node.expression;
  return ts.isConditionalExpression(node) ? node.condition : undefined;
}

function loopConditionOf(node: ts.Node): ts.Node | undefined {
  if (ts.isWhileStatement(node) || ts.isDoStatement(node)) return node.expression;
  return ts.isForStatement(node) ? node.condition : undefined;
}

/** The expression with the parentheses around it. */
function around(node: ts.Node): ts.Node {
  return ts.isParenthesizedExpression(node.parent) ? around(node.parent) : node;
}

/** By its form. */
function isTruth(node: ts.Expression): boolean {
  if (ts.isParenthesizedExpression(node)) return isTruth(node.expression);
  if (node.kind === kinds.TrueKeyword || node.kind === kinds.FalseKeyword) return true;
  if (ts.isPrefixUnaryExpression(node)) return node.operator === kinds.ExclamationToken;
  if (!ts.isBinaryExpression(node)) return false;
  const { kind } = node.operatorToken;
  if (comparisons.has(kind)) return true;
  const isLogic = kind === kinds.AmpersandAmpersandToken || kind === kinds.BarBarToken;
  return isLogic && isTruth(node.right);
}

function isReturned(node: ts.Expression): boolean {
  const outer = around(node);
  return (
    ts.isReturnStatement(outer.parent) || (ts.isArrowFunction(outer.parent) && outer.parent.body === outer)
  );
}

function functionOf(node: ts.Node): ts.SignatureDeclaration | undefined {
  const found = ts.findAncestor(node.parent, ts.isFunctionLike);
  return found;
}

const isVoid = (of: ts.SignatureDeclaration | undefined) => of?.type?.kind === kinds.VoidKeyword;
const isBoolean = (of: ts.SignatureDeclaration | undefined) => of?.type?.kind === kinds.BooleanKeyword;

const becoming = (node: ts.Node, code: string): Variant => ({
  code,
  told: `${textOf(node)} → ${oneLine(code)}`,
});
const textOf = (node: ts.Node) => oneLine(node.getText());
const oneLine = (text: string) => {
  const line = text.replace(/\s+/g, ' ');
  return line.length > maxTold ? `${line.slice(0, maxTold)}…` : line;
};
