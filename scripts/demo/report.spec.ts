/** The table and the progress bar of the demo, character by character. */
import { describe, expect, it } from 'vitest';
import { number, percent, progress, table } from './report.js';

it('a table is framed and aligned, its figures to the right', () => {
  expect(table('the load', [['updates', '1,234'], ['lost', '0', 'nothing'], null, ['p50', '9.5 ms']])).toBe(
    `
┌──────────────────────────┐
│ the load                 │
├──────────────────────────┤
│ updates   1,234          │
│ lost          0  nothing │
├──────────────────────────┤
│ p50      9.5 ms          │
└──────────────────────────┘`.trim(),
  );
});

it('figures are written for people', () => {
  expect([number(1234567), number(1.25, 1), percent(1, 3), percent(0, 0)]).toEqual([
    '1,234,567',
    '1.3',
    '33.3 %',
    '0.0 %',
  ]);
});

describe('the progress', () => {
  function drawn(isTTY: boolean, draw: (bar: ReturnType<typeof progress>) => void): string {
    let text = '';
    const stream = { isTTY, write: (chunk: string) => ((text += chunk), true) };
    draw(progress(stream as unknown as NodeJS.WriteStream));
    return text;
  }

  it('is a bar on a terminal, wiped at the end', () => {
    const text = drawn(true, (bar) => {
      bar.update(0.5, 'half');
      bar.update(0.51, 'too soon to draw again');
      bar.update(1, 'all');
      bar.end();
    });
    expect(text).toBe(
      `\r${'█'.repeat(15)}${'░'.repeat(15)}  half\u001b[K\r${'█'.repeat(30)}  all\u001b[K\r\u001b[K`,
    );
  });

  it('is a plain line for each quarter elsewhere', () => {
    const text = drawn(false, (bar) => {
      for (let done = 0; done <= 100; done += 10) bar.update(done / 100, `${done}`);
      bar.end();
    });
    expect(text).toBe('25 %  30\n50 %  50\n75 %  80\n100 %  100\n');
  });
});
