/** What the process that judges mutants and the one that runs it say to each other. */

/** What a process is started with, as JSON in its last argument. */
export interface Task {
  /** The specs, as paths of the repository, without their ending. */
  readonly specs: readonly string[];
  /** Whether the explorer and the simulator judge, too. */
  readonly judges: boolean;
  /** The mutant that is active from the beginning on; of those that are reached while modules load. */
  readonly active?: number | undefined;
  /** How many mutants there are. */
  readonly mutants: number;
}

export type Order =
  | { readonly kind: 'measure' }
  /** Runs the cases in this order until one fails. */
  | { readonly kind: 'judge'; readonly mutant: number; readonly cases: readonly Limited[] };

/** A case by its number, with the milliseconds of the processor that it may take. */
export type Limited = readonly [place: number, limitMs: number];

/** What a case costs, and the mutants that it reaches. */
export interface Measured {
  readonly name: string;
  readonly ms: number;
  readonly reached: readonly number[];
  /** It fails without any mutant, so it judges nothing. */
  readonly fails: string | undefined;
}

export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'measured'; readonly cases: readonly Measured[]; readonly atLoad: readonly number[] }
  | {
      readonly kind: 'judged';
      readonly mutant: number;
      readonly killedBy: number | undefined;
      readonly ms: number;
    }
  /** The case that killed it fails without it, too: the process is spoilt. */
  | { readonly kind: 'spoilt' };
