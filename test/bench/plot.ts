/** Pure: a plot of curves as SVG. Both axes are logarithmic, so that a power of x is a straight line. */

export interface Curve {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly min: number;
  readonly max: number;
}

export interface PlotOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
}

const size = { width: 720, height: 400 };
const frame = { left: 76, right: 560, top: 44, bottom: 344 };
const colours = ['#0b63c5', '#c2410c', '#15803d', '#7e22ce'];
/** The least distance between the names of two curves. */
const nameHeight = 16;

export function plot(curves: readonly Curve[], { title, xLabel, yLabel }: PlotOptions): string {
  const points = curves.flatMap((curve) => curve.points);
  const x = logScale(
    points.map((point) => point.x),
    [frame.left, frame.right],
  );
  const y = logScale(
    points.flatMap(({ min, max }) => [min, max]),
    [frame.bottom, frame.top],
  );
  const middle = (frame.left + frame.right) / 2;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" role="img"`,
    `  font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${size.width}" height="${size.height}" fill="#ffffff"/>`,
    text(middle, 24, escaped(title), 'text-anchor="middle" font-size="14" font-weight="bold"'),
    ...y.ticks.flatMap((value) => [
      line([frame.left, y.at(value)], [frame.right, y.at(value)], 'stroke="#d4d4d4"'),
      text(frame.left - 8, y.at(value) + 4, short(value), 'text-anchor="end"'),
    ]),
    ...x.ticks.flatMap((value) => [
      line([x.at(value), frame.top], [x.at(value), frame.bottom], 'stroke="#ececec"'),
      text(x.at(value), frame.bottom + 18, short(value), 'text-anchor="middle"'),
    ]),
    text(middle, frame.bottom + 42, escaped(xLabel), 'text-anchor="middle"'),
    text(
      0,
      0,
      escaped(yLabel),
      `text-anchor="middle" transform="translate(20 ${(frame.top + frame.bottom) / 2}) rotate(-90)"`,
    ),
    ...curves.flatMap((curve, at) => drawn(curve, colours[at % colours.length]!)),
    ...named(),
    '</svg>',
  ];
  return `${lines.join('\n')}\n`;

  function drawn({ points }: Curve, colour: string): string[] {
    const path = points.map((point) => `${x.at(point.x).toFixed(1)},${y.at(point.y).toFixed(1)}`).join(' ');
    return [
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...points.flatMap((point) => [
        line([x.at(point.x), y.at(point.min)], [x.at(point.x), y.at(point.max)], `stroke="${colour}"`),
        `<circle cx="${x.at(point.x).toFixed(1)}" cy="${y.at(point.y).toFixed(1)}" r="3" fill="${colour}"/>`,
      ]),
    ];
  }

  /** Each name stands at the end of its curve, and below another one that would be at the same place. */
  function named(): string[] {
    const ends = curves
      .map(({ name, points }, at) => ({ name, at, y: y.at(points.at(-1)!.y) }))
      .sort((a, b) => a.y - b.y);
    let free = -Infinity;
    return ends.map(({ name, at, y: wanted }) => {
      const place = Math.max(wanted, free);
      free = place + nameHeight;
      return text(frame.right + 10, place + 4, escaped(name), `fill="${colours[at % colours.length]}"`);
    });
  }
}

interface Scale {
  readonly ticks: readonly number[];
  at(value: number): number;
}

/** From the power of ten below the smallest value to the one above the greatest. */
function logScale(values: readonly number[], [from, to]: readonly [number, number]): Scale {
  const logs = values.filter((value) => value > 0).map(Math.log10);
  const low = Math.floor(Math.min(...logs));
  const high = Math.max(low + 1, Math.ceil(Math.max(...logs)));
  return {
    ticks: Array.from({ length: high - low + 1 }, (_, at) => 10 ** (low + at)),
    at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from),
  };
}

const line = ([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number], style: string) =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" ${style}/>`;

const text = (x: number, y: number, content: string, style: string) =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${style}>${content}</text>`;

const short = (value: number) => (value >= 1e6 ? `${value / 1e6} M` : value.toLocaleString('en'));

const escaped = (content: string) =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
