/** The mutator itself: what it changes, what it leaves alone, and how its report counts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import ts from 'typescript';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WrongUse } from '../../scripts/command-line/command-line.js';
import { mutate } from './mutants.js';
import { Report, scoresOf, textOf, type Accepted } from './report.js';

const told = (source: string) => mutate('a.ts', source).mutants.map(({ mutation }) => mutation);

/** What the function `f` of the source returns under each mutant, and at last without any. */
function valuesOf(source: string, ...given: unknown[]): unknown[] {
  const { code, mutants } = mutate('a.ts', source);
  const { outputText } = ts.transpileModule(code, { compilerOptions: { target: ts.ScriptTarget.ES2023 } });
  let active = -1;
  const context = { __mutant: (id: number) => id === active };
  const f = runInNewContext(`${outputText}; f;`, context) as (...of: unknown[]) => unknown;
  return [...mutants.keys(), -1].map((id) => {
    active = id;
    return f(...given);
  });
}

describe('mutate', () => {
  it.each([
    ['a < b', ['a < b → a <= b']],
    ['a >= b', ['a >= b → a > b']],
    ['a !== b', ['a !== b → a === b']],
    ['a && b', ['a && b → a || b', 'a && b → a', 'a && b → b']],
    ['a ?? b', ['a ?? b → a', 'a ?? b → b']],
    ['a - b', ['a - b → a + b']],
    ["a + ' texts'", []],
    ['!a', ['!a → a']],
    ['Math.min(a, b)', ['Math.min(a, b) → Math.max(a, b)']],
  ])('changes %s', (expression, mutations) => {
    expect(told(`const x = ${expression};`)).toEqual(mutations);
  });

  it.each([
    ['if (a) b();', ['a → true', 'a → false', 'b(); → (removed)']],
    ['while (a) b();', ['a → false', 'b(); → (removed)']],
    ['const x = a ? 1 : 2;', ['a → true', 'a → false']],
    ['function f(): boolean { return a; }', ['a → true', 'a → false']],
    ['const f = () => a === b;', ['a === b → a !== b', 'a === b → true', 'a === b → false']],
    ['function f(): void { return a(); }', ['a() → undefined']],
    ['for (let i = 0; i < 9; i++);', ['i < 9 → i <= 9', 'i < 9 → false']],
  ])('changes what %s decides and does', (source, mutations) => {
    expect(told(source)).toEqual(mutations);
  });

  it.each([
    'type A = B extends C ? D : E;',
    'throw new Error(a && b);',
    'const x = `${a ?? b}`;',
    'this.log.warn(a);',
    'export { a } from "b";',
  ])('leaves %s alone', (source) => {
    expect(told(source)).toEqual([]);
  });

  it('compiles all mutants in, and one of them is active at a time', () => {
    const source = 'function f(a, b) { return a < b && !(a === 1); }';
    // ||, the left side, the right one, true, false, <=, without !, !==, and none.
    expect(valuesOf(source, 1, 1)).toEqual([false, false, false, true, false, false, false, false, false]);
    expect(valuesOf(source, 0, 1)).toEqual([true, true, true, true, false, true, false, false, true]);
  });

  it('removes a statement without its neighbours, also where it is all that a condition governs', () => {
    const source = 'function f(a) { const b = []; if (a) b.push(1); else b.push(2); return b; }';
    expect(valuesOf(source, true)).toEqual([[1], [2], [], [1], [1]]);
  });

  it('names a mutant by its line, and tells those of the same text apart', () => {
    const { mutants } = mutate('a.ts', 'first;\n  const x = a < b || a < b;');
    const named = mutants.filter(({ mutation }) => mutation === 'a < b → a <= b');
    expect(named.map(({ line, text, nth }) => [line, text, nth])).toEqual([
      [2, 'const x = a < b || a < b;', 0],
      [2, 'const x = a < b || a < b;', 1],
    ]);
  });
});

describe('the report', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'locked-session-mutation-'));
    path = join(folder, 'report.ndjson');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const { mutants } = mutate('a.ts', 'const x = a < b;\nconst y = c > d;');
  const [below, above] = mutants as [(typeof mutants)[0], (typeof mutants)[0]];
  const name = (mutation: string): Accepted => ({
    file: 'a.ts',
    text: 'const y = c > d;',
    mutation,
    reason: 'the same',
  });

  it('is gone on with, also after lines have moved', () => {
    new Report(path).add(below, { outcome: 'killed', by: 'a test', ms: 3 });
    const [moved] = mutate('a.ts', '\n\nconst x = a < b;').mutants;
    expect(new Report(path).of(moved!)).toMatchObject({ outcome: 'killed', by: 'a test', line: 1 });
    expect(new Report(path).of(above)).toBe(undefined);
  });

  it('is gone on with when its last line was cut off, and that mutant is judged again', () => {
    new Report(path).add(below, { outcome: 'killed', by: 'a test', ms: 3 });
    const whole = readFileSync(path, 'utf8');
    writeFileSync(path, `${whole}{"file":"a.ts","line":2`);
    const report = new Report(path);
    expect(report.of(below)?.outcome).toBe('killed');
    expect(report.of(above)).toBe(undefined);
    report.add(above, { outcome: 'survived', ms: 3 });
    expect(new Report(path).of(above)?.outcome).toBe('survived');
    expect(readFileSync(path, 'utf8').startsWith(whole)).toBe(true);
  });

  it.each([
    ['is something else', '# Notes\n'],
    ['is something else without an end', 'notes'],
    ['is other JSON', '{"at":1}\n'],
  ])('a file that %s is refused with its line, and stays as it is', (_what, text) => {
    writeFileSync(path, text);
    expect(() => new Report(path)).toThrow(WrongUse);
    expect(() => new Report(path)).toThrow(/report\.ndjson, line 1, is about no mutant/);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('a directory, and a folder that is not there, are told at once', () => {
    expect(() => new Report(folder)).toThrow(/^the report cannot be used: EISDIR/);
    expect(() => new Report(join(folder, 'none', 'report'))).toThrow(/cannot be used: ENOENT.*none/);
  });

  it('counts a survivor, unless it is named with a reason', () => {
    const report = new Report(path);
    report.add(below, { outcome: 'killed', by: 'a test', ms: 3 });
    report.add(above, { outcome: 'survived', ms: 3 });
    expect(scoresOf(mutants, report, []).scores).toEqual([
      { file: 'a.ts', mutants: 2, killed: 1, accepted: 0, survivors: [above] },
    ]);
    const named = scoresOf(mutants, report, [name('c > d → c >= d')]);
    expect(named).toMatchObject({ scores: [{ killed: 1, accepted: 1, survivors: [] }], stale: [] });
    expect(textOf(named.scores, named.stale)).toContain('all: 1 of 2 killed (50.0 %), 1 named as harmless');
  });

  it('tells of a name without a survivor', () => {
    const report = new Report(path);
    report.add(above, { outcome: 'killed', by: 'a test', ms: 3 });
    const names = [name('c > d → c >= d'), name('c > d → c < d')];
    expect(scoresOf(mutants, report, names).stale).toEqual(names);
  });
});
