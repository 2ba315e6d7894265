/**
 * One run of the fault suite: a fleet under load, a nemesis, a quiet end, and the judgement of the history.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judge, outcomeOf } from './checker.js';
import { findRabbitmq, Fleet } from './fleet.js';
import { keep, moment, type Fault, type History, type Request } from './history.js';
import { Load } from './load.js';
import { Nemesis, plan } from './nemesis.js';

export interface RunOptions {
  readonly seed: number;
  /** Where requests for locks wait. */
  readonly queues?: 'partitioned' | 'per-session';
  /** The time with faults. */
  readonly ms: number;
  /** The longest pause, cut or stall, in milliseconds. */
  readonly longestFaultMs?: number;
  /** Called with each fault, and with `verbose` also with each line that a process prints. */
  readonly log?: (line: string) => void;
  readonly verbose?: boolean;
}

export interface RunReport {
  readonly seed: number;
  readonly seconds: number;
  readonly requests: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  /** Failed requests by their codes. */
  readonly codes: Readonly<Record<string, number>>;
  readonly sessions: number;
  /** Grants that scopes used. */
  readonly tokens: number;
  readonly faults: Readonly<Record<string, FaultFigures>>;
  readonly violations: readonly string[];
  /** The file with the history, after violations. */
  readonly file?: string;
}

export interface FaultFigures {
  readonly times: number;
  /**
   * The longest time without an acknowledged change of a wanted session, around faults of this kind alone.
   */
  readonly longestGapMs: number;
}

/** The kind of a gap with several kinds of faults. */
const several = 'several kinds';
const leaseMs = 2_000;
const waitMs = 10_000;
/** The limit of a request: both of its waits, and as long again for requests before it when all is healed. */
const answeredWithinMs = 4 * waitMs;

export async function run({
  seed,
  queues = 'partitioned',
  ms,
  longestFaultMs = 15_000,
  log = () => {},
  verbose,
}: RunOptions): Promise<RunReport> {
  const broker = await findRabbitmq();
  const fleet = await Fleet.create(broker, {
    store: { STORE_LEASE_MS: `${leaseMs}`, STORE_RECALL_TIMEOUT_MS: '4000' },
    servers: { QUEUES: queues, WAIT_MS: `${waitMs}`, COMMIT_WAIT_MS: `${waitMs}`, DRAIN_BUDGET_MS: '200' },
    log: verbose ? log : undefined,
  });
  try {
    const stores = [await fleet.store('store 1'), await fleet.store('store 2')];
    const servers = await Promise.all(['one', 'two', 'three', 'four'].map((name) => fleet.server(name)));
    const load = new Load(seed);
    const begin = moment();
    load.start(servers);
    const nemesis = new Nemesis(
      broker,
      servers.map(({ member }) => member),
      stores,
      (line) => log(`${((moment() - begin) / 1_000).toFixed(1).padStart(6)} s  ${line}`),
    );
    await nemesis.rage(plan(seed, longestFaultMs), begin + ms);
    const end = moment();
    const unanswered = await load.stop(answeredWithinMs);
    log(`all is healed; ${load.requests.length} requests, ${unanswered} of them unanswered`);

    const auditor = await fleet.server('auditor');
    for (const session of load.all) await auditor.read(session, 30_000);
    const left = new Map(
      (await fleet.noted(auditor.member)).map(({ session, saw }) => [session, { a: saw.a!, b: saw.b! }]),
    );
    const visits = await fleet.visits();
    const history: History = { seed, requests: load.requests, visits, faults: nemesis.faults, left };
    const deaths = [...fleet.members].flatMap(({ name, deaths }) =>
      deaths.map((output) => `${name} ended by itself. Its last output:\n${output}`),
    );
    const wrong = [...deaths, ...(await fleet.wrongInTraces())];
    return await reportOf(history, (end - begin) / 1_000, wrong);
  } finally {
    await fleet.stop();
    await broker.stop();
  }
}

async function reportOf(history: History, seconds: number, wrong: readonly string[]): Promise<RunReport> {
  const { seed, requests, visits, faults } = history;
  const violations = [...wrong, ...judge(history)];
  const outcomes = requests.map((request) => outcomeOf(request, visits.get(request.id)));
  const count = (outcome: string) => outcomes.filter((one) => one === outcome).length;
  const codes: Record<string, number> = {};
  for (const { code } of requests) if (code !== undefined) codes[code] = (codes[code] ?? 0) + 1;
  const file = join(tmpdir(), `locked-session-history-${seed}-${process.pid}.jsonl`);
  if (violations.length > 0) await keep(history, file);
  return {
    seed,
    seconds,
    requests: requests.length,
    acknowledged: count('acknowledged'),
    refused: count('refused'),
    unknown: count('unknown'),
    codes,
    sessions: history.left.size,
    tokens: new Set([...visits.values()].map(({ token }) => token.join('.'))).size,
    faults: figuresOf(faults, requests),
    violations,
    ...(violations.length > 0 && { file }),
  };
}

function figuresOf(faults: readonly Fault[], requests: readonly Request[]): Record<string, FaultFigures> {
  const figures: Record<string, { times: number; longestGapMs: number }> = {};
  const of = (kind: string) => (figures[kind] ??= { times: 0, longestGapMs: 0 });
  for (const { kind } of faults) of(kind).times++;
  for (const { from, to } of gapsOf(requests)) {
    const kinds = new Set(
      faults.filter(({ begin, end }) => from < end && to > begin).map(({ kind }) => kind),
    );
    if (kinds.size === 0) continue;
    const [kind] = kinds.size === 1 ? kinds : [several];
    const one = of(kind!);
    one.longestGapMs = Math.max(one.longestGapMs, Math.round(to - from));
  }
  return figures;
}

/** For each session, the times in which requests were under way and none was acknowledged. */
function gapsOf(requests: readonly Request[]): { from: number; to: number }[] {
  const gaps: { from: number; to: number }[] = [];
  for (const session of new Set(requests.map((request) => request.session))) {
    const its = requests.filter((request) => request.session === session);
    const answers = its
      .filter(({ code }) => code === undefined)
      .map(({ end }) => end)
      .sort((a, b) => a - b);
    let last = -Infinity;
    for (const end of answers) {
      const asked = its.filter((one) => one.end > last).map(({ begin }) => begin);
      gaps.push({ from: Math.max(last, Math.min(...asked)), to: end });
      last = end;
    }
  }
  return gaps;
}
