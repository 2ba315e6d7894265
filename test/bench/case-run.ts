/**
 * Runs all rounds of a case. In each, all contestants run in turn, so that a slow moment of the machine hits
 * all of them.
 */
import { randomUUID } from 'node:crypto';
import type { Case } from './cases.js';
import type { Backend, Contestant, Pace, ServerKind } from './contest.js';
import { contestants, type ContestantName } from './contestants/contestants.js';
import { runRound } from './contest-run.js';
import type { Measured } from './figures.js';
import type { CaseResult } from './result.js';
import type { RowName } from './rows.js';
import type { Services } from './services.js';

export interface CaseRun {
  readonly row: RowName;
  readonly its: Case;
  readonly names: readonly ContestantName[];
  readonly rounds: number;
  readonly pace: Pace;
}

export async function runCase(
  { row, its, names, rounds, pace }: CaseRun,
  services: Services,
  progress: (round: number, contestant: ContestantName) => void,
): Promise<CaseResult> {
  const found: Partial<Record<ContestantName, Measured[]>> = {};
  const backends = new Map<ContestantName, Backend>();
  const run = `bench-${row}-${randomUUID().slice(0, 8)}`;
  const lasts = its.lasts ?? 1;
  const longer = { warmUpMs: pace.warmUpMs, ms: pace.ms * lasts };
  const all = Array.from({ length: Math.min(rounds, its.maxRounds ?? rounds) }, (_, at) => at + 1);
  try {
    for (const round of all) for (const name of names) await contest(name, round);
  } finally {
    await Promise.all(names.map(end));
  }
  return { row, case: its.name, rounds: found };

  async function contest(name: ContestantName, round: number): Promise<void> {
    progress(round, name);
    if (!backends.has(name)) await start(name, round);
    const arena = { backend: backends.get(name), server: serverOf(name, services) };
    const measured = await runRound(name, its, placeOf(name, round), longer, arena);
    (found[name] ??= []).push(measured);
    if (its.fresh) await end(name);
  }

  async function start(name: ContestantName, round: number): Promise<void> {
    const one = contestants[name];
    for (const kind of one.needs) await services.start(kind);
    const { start: startBackend } = one as Contestant;
    if (!startBackend) return;
    backends.set(name, await startBackend({ ...placeOf(name, round), member: 0 }));
  }

  async function end(name: ContestantName): Promise<void> {
    const backend = backends.get(name);
    backends.delete(name);
    await backend?.close();
  }

  function placeOf(name: ContestantName, round: number) {
    return {
      servers: services.servers,
      name: its.fresh ? `${run}-${name}-${round}` : `${run}-${name}`,
      sessions: `round-${round}`,
      address: backends.get(name)?.address,
      settings: its.settings ?? {},
    };
  }
}

/** The server between a contestant's processes, or instead of a store of its own. */
function serverOf(name: ContestantName, { pids }: Services): number | undefined {
  const needed: readonly ServerKind[] = contestants[name].needs;
  return needed.includes('postgres') ? undefined : needed.map((kind) => pids[kind])[0];
}
