/**
 * The processes that judge mutants. One measures the cases first. Then each takes mutants until none is
 * left. A process that ends in between was ended by its mutant, which counts as killed, and another takes its
 * place.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import type { Answer, Limited, Measured, Order } from './messages.js';
import type { Mutant } from './mutants.js';
import type { Outcome } from './report.js';

/** A case may take this many times as long as it did without a mutant, and always this long. */
const patience = 15;
const leastMs = 800;
const maxHeapMb = 800;
/** A mutant that spoils its process gets so many of them. */
const attempts = 2;

export interface Means {
  /** The specs, as paths of the repository, without their ending. */
  readonly specs: readonly string[];
  /** Whether the explorer and the simulator judge, too. */
  readonly judges: boolean;
  /** The tests of one mutant take no longer than this together, as they were measured. */
  readonly budgetMs: number;
}

export type Judged = Pick<Outcome, 'outcome' | 'by' | 'ms'>;
type Verdict = Extract<Answer, { kind: 'judged' }>;

export class Court {
  private cases: readonly Measured[] = [];
  private atLoad: ReadonlySet<number> = new Set();

  constructor(
    private readonly folder: string,
    private readonly means: Means,
    private readonly mutants: readonly Mutant[],
  ) {}

  /** Runs each case once. Returns those that fail without a mutant. */
  async open() {
    const process = await this.start();
    const answer = await ask(process!, { kind: 'measure' });
    process!.kill();
    if (answer?.kind !== 'measured') throw new Error('the process that measures the tests has ended');
    this.cases = answer.cases;
    this.atLoad = new Set(answer.atLoad);
    return answer.cases;
  }

  /** Judges all of these, with so many processes at once. */
  async judge(mutants: readonly Mutant[], workers: number, say: (of: Mutant, judged: Judged) => void) {
    const left = [...mutants];
    const work = async () => {
      let process: ChildProcess | undefined;
      for (let mutant = left.shift(); mutant; mutant = left.shift()) {
        const order = this.orderFor(mutant);
        if (order.length === 0) {
          say(mutant, { outcome: 'unreached', ms: 0 });
        } else if (this.atLoad.has(mutant.id)) {
          say(mutant, await this.judgeFromLoad(mutant, order));
        } else {
          const judged = await this.judgeOne(process, mutant, order);
          ({ process } = judged);
          say(mutant, judged.verdict);
        }
      }
      process?.kill();
    };
    await Promise.all(Array.from({ length: workers }, work));
  }

  private async judgeOne(
    known: ChildProcess | undefined,
    { id }: Mutant,
    cases: readonly Limited[],
  ): Promise<{ process: ChildProcess | undefined; verdict: Judged }> {
    let process = known;
    for (let attempt = 1; ; attempt++) {
      process ??= await this.start();
      const answer = await ask(process!, { kind: 'judge', mutant: id, cases });
      if (answer?.kind === 'judged') return { process, verdict: this.verdictOf(answer) };
      process!.kill();
      process = undefined;
      const isSpoilt = answer?.kind === 'spoilt';
      if (isSpoilt && attempt < attempts) continue;
      const by = isSpoilt ? 'a test that fails from then on' : 'a test that does not end';
      return { process, verdict: { outcome: 'killed', by, ms: 0 } };
    }
  }

  /** Its modules load with it. */
  private async judgeFromLoad({ id }: Mutant, cases: readonly Limited[]): Promise<Judged> {
    const process = await this.start(id);
    if (!process) return { outcome: 'killed', by: 'the loading of the modules', ms: 0 };
    const answer = await ask(process, { kind: 'judge', mutant: id, cases });
    process.kill();
    if (answer?.kind === 'judged') return this.verdictOf(answer);
    return { outcome: 'killed', by: 'a test that does not end', ms: 0 };
  }

  private verdictOf({ killedBy, ms }: Verdict): Judged {
    if (killedBy === undefined) return { outcome: 'survived', ms };
    return { outcome: 'killed', by: this.cases[killedBy]!.name, ms };
  }

  /** The cases that may notice the mutant: those beside its file first, and the cheapest ones first. */
  private orderFor({ id, file }: Mutant): Limited[] {
    const library = file.split('/src/')[0]!;
    const folder = `${dirname(file)}/`;
    const distance = ({ name }: Measured) => (name.startsWith(folder) ? 0 : 1);
    const mayNotice = ({ name, reached, fails }: Measured) =>
      fails === undefined &&
      (reached.includes(id) || (this.atLoad.has(id) && name.startsWith(`${library}/`)));
    let totalMs = 0;
    return [...this.cases.entries()]
      .filter(([, one]) => mayNotice(one))
      .toSorted(([, one], [, other]) => distance(one) - distance(other) || one.ms - other.ms)
      .filter(([, { ms }]) => (totalMs += ms) <= this.means.budgetMs)
      .map(([place, { ms }]) => [place, Math.ceil(Math.max(leastMs, patience * ms))] as const);
  }

  /** Returns undefined when the process ends while it loads. */
  private async start(active?: number): Promise<ChildProcess | undefined> {
    const task = JSON.stringify({ ...this.means, active, mutants: this.mutants.length });
    const process = fork(join(this.folder, 'test/mutation/judge.js'), [task], {
      stdio: ['ignore', 'ignore', active === undefined ? 'inherit' : 'ignore', 'ipc'],
      execArgv: [`--max-old-space-size=${maxHeapMb}`],
    });
    const answer = await next(process);
    if (answer?.kind === 'ready') return process;
    if (active === undefined) throw new Error('the process that judges mutants does not start');
    return undefined;
  }
}

function ask(process: ChildProcess, order: Order): Promise<Answer | undefined> {
  const answer = next(process);
  process.send(order);
  return answer;
}

/** What the process says next; undefined when it ends instead. */
function next(process: ChildProcess): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const settle = (answer: Answer | undefined) => {
      process.off('message', settle);
      process.off('exit', end);
      resolve(answer);
    };
    const end = () => settle(undefined);
    process.on('message', settle);
    process.on('exit', end);
  });
}
