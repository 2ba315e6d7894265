/** Tells on stderr what runs and how long the rest may take: on a terminal in one line, else once a case. */
import type { CaseRun } from './case-run.js';
import type { ContestantName } from './contestants/contestants.js';

export class Progress {
  private readonly startedAt = performance.now();
  private readonly total: number;
  private done = -1;
  private toldOf: CaseRun | undefined;

  constructor(runs: readonly CaseRun[]) {
    this.total = runs.reduce((sum, run) => sum + contestsOf(run), 0);
  }

  /** A contestant begins a round. */
  begin(run: CaseRun, round: number, contestant: ContestantName): void {
    this.done++;
    const line = `${run.row}, ${run.its.name}: round ${round} of ${run.rounds}, ${contestant}${this.left()}`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
    else if (this.toldOf !== run) process.stderr.write(`${line}\n`);
    this.toldOf = run;
  }

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }

  private left(): string {
    if (this.done === 0) return '';
    const each = (performance.now() - this.startedAt) / this.done;
    const minutes = (each * (this.total - this.done)) / 60_000;
    return `; ${Math.floor((this.done / this.total) * 100)} % done, ${minutes.toFixed(0)} minutes left`;
  }
}

const contestsOf = ({ its, names, rounds }: CaseRun) =>
  names.length * Math.min(rounds, its.maxRounds ?? rounds);
