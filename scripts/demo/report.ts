/** How the demo's figures look on a terminal: a table, and a bar while they are measured. */

/** Name, figure and explanation. */
export type Row = readonly [label: string, value: string, note?: string];

/** A framed table; `null` draws a line. */
export function table(title: string, rows: readonly (Row | null)[]): string {
  const cells = rows.filter((row) => row !== null);
  const width = (column: 0 | 1 | 2) => Math.max(...cells.map((row) => (row[column] ?? '').length));
  const [labels, values, notes] = [width(0), width(1), width(2)];
  const inner = Math.max(labels + values + notes + 4, title.length);
  const line = '─'.repeat(inner + 2);
  const body = rows.map((row) => {
    if (!row) return `├${line}┤`;
    const [label, value, note = ''] = row;
    return `│ ${`${label.padEnd(labels)}  ${value.padStart(values)}  ${note}`.padEnd(inner)} │`;
  });
  return [`┌${line}┐`, `│ ${title.padEnd(inner)} │`, `├${line}┤`, ...body, `└${line}┘`].join('\n');
}

export interface Progress {
  /** `done` is from 0 to 1. */
  update(done: number, text: string): void;
  end(): void;
}

const barWidth = 30;

/** A bar that redraws itself on a terminal, at most every 100 ms; elsewhere a line for each quarter. */
export function progress(stream: NodeJS.WritableStream & { isTTY?: boolean }): Progress {
  let drawnAt = -Infinity;
  let quarter = 0;
  return {
    update(done, text) {
      if (!stream.isTTY) {
        if (done * 4 < quarter + 1) return;
        quarter = Math.floor(done * 4);
        stream.write(`${quarter * 25} %  ${text}\n`);
      } else if (done === 1 || performance.now() - drawnAt >= 100) {
        drawnAt = performance.now();
        const full = Math.round(done * barWidth);
        stream.write(`\r${'█'.repeat(full)}${'░'.repeat(barWidth - full)}  ${text}\u001b[K`);
      }
    },
    end() {
      if (stream.isTTY) stream.write('\r\u001b[K');
    },
  };
}

export const number = (value: number, digits = 0) =>
  value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const percent = (part: number, whole: number) => `${number(whole ? (100 * part) / whole : 0, 1)} %`;
