/** For scripted scenarios: figures that belong into docs/GUARANTEES.md, printed where they come up. */
export function figure(what: string, ...values: readonly number[]): void {
  const rounded = values.map((value) => `${Math.round(value)} ms`);
  process.stdout.write(`  ${what}: ${rounded.join(', ')}\n`);
}
