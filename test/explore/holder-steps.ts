/**
 * Steps of one app server: it receives, its timer fires, its client acts. Whatever it then says is on its
 * way.
 */
import { intoFrames, protocolVersion } from '#protocol';
import type { AppServer } from './app-server.js';
import { isUnaware, nowAt, withSlot, type Deployment, type State, type ToStore } from './deployment.js';
import { letters } from './folding.js';
import { missingIn, nameOf, type Diary, type Mark, type Outcome } from './marks.js';
import type { Part } from './parts.js';

/** What an app server made of an input. */
interface Acted {
  readonly server: Part<AppServer>;
  readonly marks: readonly Part<readonly Mark[]>[];
  readonly said: readonly ToStore[];
}

/**
 * The state after the app server in this slot has acted. `name` and the parts in `by` say all that decides
 * what the act does, beside the app server, the marks and the time.
 */
export function actAt(
  deployment: Deployment,
  state: State,
  slot: number,
  name: string,
  act: (server: AppServer, diary: Diary) => void,
): State {
  const { server: before, toStore } = state.slots[slot]!;
  const key = `${name} ${state.time} ${state.lostEpoch} ${state.slots.map(({ marks }) => marks.id).join()}`;
  const { server, marks, said } = before.remember(key, () => acted(deployment, state, slot, act));
  const slots = state.slots.map((one, i) => (marks[i] === one.marks ? one : { ...one, marks: marks[i]! }));
  return withSlot({ ...state, slots }, slot, {
    server,
    ...(said.length > 0 && { toStore: deployment.part([...toStore.value, ...said]) }),
  });
}

function acted(
  deployment: Deployment,
  state: State,
  slot: number,
  act: (server: AppServer, diary: Diary) => void,
): Acted {
  const server = deployment.copy(state.slots[slot]!.server);
  const changed = state.slots.map(({ marks }) => marks.value);
  act(server, {
    now: nowAt(state.time),
    mark: (session) => {
      changed[slot] = [...changed[slot]!, { session, outcome: 'pending' }];
      return nameOf(slot, changed[slot].length);
    },
    settle: (mark, outcome) => settle(changed, mark, outcome),
    destroyed: (session) => endSession(changed, session),
    missing: (session, seen) => (isUnaware(server, state) ? undefined : missingIn(changed, session, seen)),
  });
  const said = framesOf(server, state.time);
  const marks = state.slots.map(({ marks: one }, i) =>
    changed[i] === one.value ? one : deployment.part(changed[i]!),
  );
  return { server: deployment.part(server), marks, said };
}

function framesOf(server: AppServer, sentAt: number): ToStore[] {
  const { name: holder, queue, machine } = server;
  const all = { partition: 0, epoch: machine.epochOf(0), messages: server.takeMessages() };
  return intoFrames([all]).map(([part]) => ({ frame: { ...part!, holder, queue }, sentAt }));
}

function settle(marks: (readonly Mark[])[], name: string, outcome: Outcome): void {
  const slot = letters.indexOf(name[0]!);
  const at = Number(name.slice(1)) - 1;
  const mark = marks[slot]![at]!;
  // What nobody could know once is not known later: an answer may be older than what was lost since.
  if (mark.outcome !== 'gone' && mark.outcome !== 'unknown')
    marks[slot] = marks[slot]!.with(at, { ...mark, outcome });
}

/** Nothing of the session is left, and nothing that was made before may be seen again. */
function endSession(marks: (readonly Mark[])[], session: string): void {
  for (const [slot, list] of marks.entries())
    marks[slot] = list.map((mark) => (mark.session === session ? { ...mark, outcome: 'gone' } : mark));
}
