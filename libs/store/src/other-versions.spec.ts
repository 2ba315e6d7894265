/** Which holders of another protocol version are named in the log, and when they are answered. */
import { expect, it } from 'vitest';
import { OtherVersions } from './other-versions.js';

const frame = (version: number, holder: string) => ({ version, partition: 0, holder, queue: `${holder}.1` });

it('names a holder once, and answers it once a second at most; one of version 1 once a minute', () => {
  const versions = new OtherVersions();
  const at = (mono: number, version: number) => versions.heard(frame(version, `of${version}`), mono);
  expect([at(0, 3), at(999, 3), at(1_000, 3)]).toEqual([
    { isNew: true, isDue: true },
    { isNew: false, isDue: false },
    { isNew: false, isDue: true },
  ]);
  expect([0, 1_000, 59_999, 60_000].map((mono) => at(mono, 1).isDue)).toEqual([true, false, false, true]);
});

it('remembers no more than a thousand of them', () => {
  const versions = new OtherVersions();
  for (let i = 0; i <= 1_000; i++) versions.heard(frame(3, `h${i}`), 0);
  expect(versions.heard(frame(3, 'h1000'), 0).isNew).toBe(false);
  expect(versions.heard(frame(3, 'h0'), 0).isNew).toBe(true);
});
