/**
 * `npm run settings`: writes docs/SETTINGS.md, from the schemas, which have limits and defaults, and from the
 * comments of the options, which say what each means. The house test compares the document with what is
 * written.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { embeddedSettingRows } from '#embedded';
import { lockedSessionSettingRows } from '#locked-session';
import { meterSettingRows } from '#meter';
import type { SettingRow } from '#settings';
import { storeSettingRows } from '#store-service';

export const settingsDocument = 'docs/SETTINGS.md';

/** Where the options and what they are made of are declared. */
export const optionFiles = [
  'libs/locked-session/src/nest/options.ts',
  'libs/embedded/src/settings.ts',
  'libs/broker/src/amqp/settings.ts',
  'libs/broker/src/amqp/tls.ts',
  'libs/trace/src/settings.ts',
  'libs/meter/src/settings.ts',
];

export function settingsText(root: string): string {
  const meanings = Meanings.of(optionFiles.map((file) => readFileSync(join(root, file), 'utf8')));
  const ofModule = meanings.added(lockedSessionSettingRows(), 'LockedSessionOptions');
  const ofEmbedded = meanings.added(embeddedSettingRows(), 'StoreOptions');
  const ofMeter = meanings.added(meterSettingRows(), 'LostUpdateMeterOptions');
  return `# Settings

\`npm run settings\` writes this file from the sources.
A wrong setting stops the start, with its name, its value and what is allowed.

## The store

Environment variables of \`locked-session-store\`, which also \`--help\` lists.
An empty one counts as not set.

${tableOf(storeSettingRows())}

## LockedSessionModule

Options of \`LockedSessionModule.forRoot\` and \`forRootAsync\`.
Beside them stand \`isGlobal\` (true) and \`instance\`, the name of this module when an application has several.

${tableOf(ofModule)}

## EmbeddedLockedSessionModule

Options of \`EmbeddedLockedSessionModule.forRoot\` and \`forRootAsync\`, beside those of \`LockedSessionModule\` without \`broker\` and \`partitions\`.

${tableOf(ofEmbedded)}

## lostUpdateMeter

Options of \`lostUpdateMeter(store, options)\`, which [METER.md](METER.md) describes.

${tableOf(ofMeter)}
`;
}

function tableOf(rows: readonly SettingRow[]): string {
  const lines = rows.map((row) => {
    const absent = row.isRequired ? 'required' : '';
    const fallback = row.default === undefined ? absent : `\`${row.default}\``;
    const cells = [`\`${row.name}\``, row.unit, row.limits, fallback, row.meaning];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| name | unit | limits | default | meaning |', '|---|---|---|---|---|', ...lines].join('\n');
}

interface Member {
  readonly meaning: string;
  /** Its type as it is written. */
  readonly type: string;
}

/** The comments of interfaces: what each member means. */
export class Meanings {
  private constructor(private readonly interfaces: ReadonlyMap<string, ReadonlyMap<string, Member>>) {}

  static of(sources: readonly string[]): Meanings {
    const declared = new Map<string, Map<string, Member>>();
    const pending: (() => void)[] = [];
    for (const source of sources) {
      const tree = ts.createSourceFile('options.ts', source, ts.ScriptTarget.Latest, true);
      const aliases = new Map(
        tree.statements
          .filter(ts.isTypeAliasDeclaration)
          .map(({ name, type }) => [name.text, type.getText()]),
      );
      for (const declaration of tree.statements.filter(ts.isInterfaceDeclaration)) {
        const members = new Map(declaration.members.filter(ts.isPropertySignature).map(memberOf));
        declared.set(declaration.name.text, members);
        const parents = declaration.heritageClauses?.map((clause) => clause.getText()).join() ?? '';
        const picked = [...aliases].filter(([name]) => parents.includes(name)).map(([, type]) => type);
        pending.push(() => picked.forEach((type) => pick(type, declared, members)));
      }
    }
    for (const add of pending) add();
    return new Meanings(declared);
  }

  /** The rows of the interface of this name. Throws where a row or a member is missing, or a comment. */
  added(rows: readonly SettingRow[], name: string): SettingRow[] {
    const meanings = new Map(this.membersOf(name, ''));
    const names = new Set(rows.map((row) => row.name));
    for (const member of meanings.keys())
      if (!names.has(member)) throw new Error(`${name} has the option ${member}, but its schema has not`);
    return rows.map((row) => {
      const meaning = meanings.get(row.name);
      if (!meaning) throw new Error(`${name} must have the option ${row.name}, with a comment`);
      return { ...row, meaning };
    });
  }

  private membersOf(name: string, prefix: string): [string, string][] {
    return [...this.interfaces.get(name)!].flatMap(([member, { meaning, type }]) => {
      const inner = [...this.interfaces.keys()].find((one) => new RegExp(`\\b${one}\\b`).test(type));
      const own: [string, string] = [prefix + member, meaning];
      return [own, ...(inner === undefined ? [] : this.membersOf(inner, `${prefix}${member}.`))];
    });
  }
}

/** Adds the members that a type `Pick<Name, 'one' | 'two'>` names. */
function pick(
  type: string,
  declared: ReadonlyMap<string, ReadonlyMap<string, Member>>,
  members: Map<string, Member>,
): void {
  const from = declared.get(/^Pick<\s*(\w+)/.exec(type)?.[1] ?? '');
  for (const [, name] of type.matchAll(/'(\w+)'/g)) {
    const member = from?.get(name!);
    if (member) members.set(name!, member);
  }
}

function memberOf(member: ts.PropertySignature): [name: string, Member] {
  const [comment] = ts.getJSDocCommentsAndTags(member);
  const text = comment && ts.isJSDoc(comment) ? ts.getTextOfJSDocComment(comment.comment) : undefined;
  const meaning = (text ?? '').replaceAll(/\s+/g, ' ').trim();
  return [member.name.getText(), { meaning, type: member.type?.getText() ?? '' }];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(join(process.cwd(), settingsDocument), settingsText(process.cwd()));
  console.log(`${settingsDocument} has the settings`);
}
