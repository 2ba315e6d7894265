/**
 * The links of the documents. Each relative link leads to a file or a heading of this repository.
 * Links to other sites are not followed.
 */
import { posix } from 'node:path';

/** The text of each document by its path. */
export type Documents = Readonly<Record<string, string>>;

/** A complaint for each relative link that leads nowhere. In `paths` a folder has a slash at its end. */
export function brokenLinks(documents: Documents, paths: readonly string[]): string[] {
  const there = new Set(['', ...paths.map((path) => path.replace(/\/$/, ''))]);
  return Object.entries(documents).flatMap(([path, text]) =>
    linksOf(text).flatMap((link) => {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : posix.join(posix.dirname(path), file).replace(/\/$/, '');
      if (!there.has(target)) return [`${path} links to ${link}, and there is no ${target}`];
      const document = documents[target];
      if (anchor === undefined || (document !== undefined && anchorsOf(document).has(anchor))) return [];
      return [`${path} links to ${link}, and ${target} has no heading for it`];
    }),
  );
}

/** Where the text links to, in sentences and in definitions, but for other sites. */
function linksOf(text: string): string[] {
  const prose = withoutCode(text);
  const inline = prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g);
  const defined = prose.matchAll(/^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm);
  const links = [...inline, ...defined].map(([, link]) => decodeURI(link!));
  return links.filter((link) => !/^[a-z][a-z+.-]*:/i.test(link));
}

/** As GitHub makes them: of headings of the same text the second one ends with -1, the third one with -2. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of withoutFences(text).matchAll(/^ {0,3}#{1,6}\s+(.*?)[\s#]*$/gm)) {
    const plain = heading!.toLowerCase().replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '');
    const name = plain.replace(/\s/g, '-');
    let anchor = name;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${name}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

function withoutFences(text: string): string {
  return text.replace(/^ {0,3}(```+|~~~+)[^]*?^ {0,3}\1[`~]*\s*$/gm, '');
}

function withoutCode(text: string): string {
  return withoutFences(text).replace(/(`+)[^`][^]*?\1/g, '');
}
