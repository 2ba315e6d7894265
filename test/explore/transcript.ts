/**
 * A counterexample as a person reads it, and as a file that is replayed: a JSON document with the
 * configuration, what was switched off, and the names of the moves. Beside each move stands what was read,
 * heard and said in it.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { HolderMessage, StoreMessage } from '#protocol';
import { WrongUse } from '../../scripts/command-line/command-line.js';
import { canaries } from './canaries.js';
import { configurations } from './configurations.js';
import type { State } from './deployment.js';
import { letters } from './folding.js';
import { GoodStates, wrongInFuture } from './future.js';
import { wrongWith } from './invariants.js';
import { play } from './play.js';
import { begin, noRules, outcomeOf, type Counterexample } from './search.js';

export interface Replayable {
  readonly configuration: string;
  readonly canary?: string | undefined;
  readonly moves: readonly string[];
}

/** The lines of a transcript; the last one says what is wrong, or that nothing is. */
export function transcriptOf({ configuration: name, canary, moves: names }: Replayable): string[] {
  const configuration = configurations.find((one) => one.name === name);
  if (!configuration) throw new WrongUse(`there is no configuration '${name}' in this version`);
  const rules = canary === undefined ? noRules : canaries.get(canary)?.rules;
  if (!rules) throw new WrongUse(`there is no canary '${canary}' in this version`);
  const { deployment, moves, first } = begin(configuration, rules);
  const lines = [`from '${name}': ${configuration.start.join(', ') || 'nothing'}`];
  let state = first;
  for (const move of names) {
    const [next, thrown] = outcomeOf(() => play(deployment, moves, state, move));
    lines.push(`${String(state.time).padStart(6)} ms  ${move}${arrived(state, move)}`);
    if (thrown !== undefined) return [...lines, thrown];
    lines.push(...said(state, next).map((line) => `           ${line}`));
    state = next;
    const wrong = wrongWith(state);
    if (wrong !== undefined) return [...lines, wrong];
  }
  const wrong = wrongInFuture(deployment, state, configuration.sessions ?? ['s'], new GoodStates());
  return [...lines, wrong ?? 'nothing is wrong'];
}

/** Reads what `fileOf` has made. Throws a `WrongUse` when the file is something else. */
export function readReplay(file: string): Replayable {
  try {
    return replayable.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new WrongUse(`${resolve(file)} is no counterexample of the explorer:\n${why}`, { cause: error });
  }
}

const replayable = z.object({
  configuration: z.string(),
  canary: z.string().optional(),
  moves: z.array(z.string()),
});

export function fileOf({ configuration, moves, what }: Counterexample, canary: string | undefined): string {
  return `${JSON.stringify({ configuration, canary, what, moves }, null, 2)}\n`;
}

/** What the frame brought that a move is about. */
function arrived(state: State, move: string): string {
  const reader = /^the store reads (.)$/.exec(move)?.[1];
  if (reader !== undefined) {
    const [first] = state.slots[letters.indexOf(reader)]!.toStore.value;
    return first && 'frame' in first ? `: ${first.frame.messages.map(textOf).join('; ')}` : '';
  }
  const hearer = /^(.) hears$/.exec(move)?.[1];
  if (hearer === undefined) return '';
  const [first] = state.slots[letters.indexOf(hearer)]!.toHolder.value;
  return first ? `: ${first.frame.messages.map(textOf).join('; ')}` : '';
}

/** What is on its way since the move. */
function said(before: State, after: State): string[] {
  return after.slots.flatMap((slot, i) => {
    const old = before.slots[i]!;
    const sent = slot.toStore.value.filter((item) => !old.toStore.value.includes(item));
    const told = slot.toHolder.value.filter((item) => !old.toHolder.value.includes(item));
    const up = sent.flatMap((item) => ('frame' in item ? item.frame.messages.map(textOf) : ['(an echo)']));
    const down = told.flatMap(({ frame }) => frame.messages.map(textOf));
    return [
      ...up.map((text) => `${letters[i]} → store: ${text}`),
      ...down.map((text) => `store → ${letters[i]}: ${text}`),
    ];
  });
}

function textOf(message: HolderMessage | StoreMessage): string {
  const parts: string[] = [message.kind];
  for (const [key, value] of Object.entries(message)) {
    if (key === 'kind' || value === undefined) continue;
    if (value instanceof Map) {
      for (const [name, bytes] of value)
        parts.push(`${name}=[${new TextDecoder().decode(bytes as Uint8Array)}]`);
    } else if (Array.isArray(value)) {
      if (value.length > 0) parts.push(`${key} ${value.join('.')}`);
    } else if (value !== false) parts.push(`${key} ${String(value)}`);
  }
  return parts.join(' ');
}
