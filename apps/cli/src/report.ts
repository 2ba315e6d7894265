/** The report of `verify`, for people. */
import { findingKinds, type Report, type WaitFigures } from '#trace';

/** Findings that are shown, at most. */
const shownFindings = 20;

const verdicts: Readonly<Record<Report['verdict'], string>> = {
  ok: 'Nothing is wrong.',
  violation: 'Something is wrong.',
  'not-known': 'Not known: nothing wrong was found, but not everything is known.',
};

/**
 * A killed process has written all that others saw of it. One that goes on after its file was copied has not.
 */
const stillRunning =
  'Traces without an end count up to their last record. If one of these processes went on after its file ' +
  'was copied, copy the files again when it has ended.';

const waits: Readonly<Record<WaitFigures['what'], string>> = {
  scope: 'a scope, for its locks',
  grant: 'a process, for a session',
  release: 'the store, for a lock that it asked back',
};

export function reportText({ verdict, findings, notKnown, counts, waits, clockErrorMs }: Report): string {
  const { holders, stores, open, sessions, operations, optional } = counts;
  return [
    verdicts[verdict],
    '',
    `${holders} app servers and ${stores} stores, ${open} of them without an end of their trace.`,
    `${sessions} sessions, ${operations} operations, ${optional} of them with an unknown outcome.`,
    `Clocks of two machines may differ by ${clockErrorMs} ms.`,
    ...section('Waits:', waits.map(waitText)),
    ...section('Not known:', notKnown),
    ...section(
      `Findings (${findings.length}):`,
      findings
        .slice(0, shownFindings)
        .flatMap(({ kind, session, what, evidence }) => [
          `${kind}: ${what}`,
          `  ${findingKinds[kind]}; session ${session}`,
          ...evidence.map((line) => `  - ${line}`),
        ]),
    ),
    ...(findings.length > 0 && open > 0 ? ['', stillRunning] : []),
  ].join('\n');
}

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];

function waitText({ what, count, unserved, medianMs, p99Ms, longest }: WaitFigures): string {
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const without = unserved === 0 ? '' : `, ${unserved} of them in vain`;
  return `${waits[what]}: ${count}${without}; median ${ms(medianMs)}, 99 % below ${ms(p99Ms)}, longest ${ms(longest.ms)} (${longest.process}, session ${longest.session})`;
}
