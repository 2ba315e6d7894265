/**
 * Steps of one app server: it receives, its timer fires, its client acts. Whatever it then says is on its
 * way.
 */
import { intoFrames, type HolderPart, type HolderMessage } from '#protocol';
import type { AppServer } from './app-server.js';
import { isExcused, nowAt, withSlot, type Deployment, type State, type ToStore } from './deployment.js';
import { letters } from './folding.js';
import { missingIn, nameOf, type Diary, type Mark, type Outcome } from './marks.js';
import type { Part } from './parts.js';

/** What an app server made of an input. */
interface Acted {
  readonly server: Part<AppServer>;
  readonly marks: readonly Part<readonly Mark[]>[];
  readonly said: readonly ToStore[];
  /** What goes to a store's own queue. */
  readonly direct: readonly { readonly item: ToStore; readonly key: string }[];
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
  const { server: before, toStore, isSevered } = state.slots[slot]!;
  const all = state.slots.map(({ marks }) => marks.id).join();
  const key = `${name} ${state.time} ${state.lostEpoch} ${isSevered} ${all}`;
  const { server, marks, said, direct } = before.remember(key, () => acted(deployment, state, slot, act));
  const slots = state.slots.map((one, i) => (marks[i] === one.marks ? one : { ...one, marks: marks[i]! }));
  const next = withSlot({ ...state, slots }, slot, {
    server,
    ...(said.length > 0 && { toStore: deployment.part([...toStore.value, ...said]) }),
  });
  return direct.reduce((to, { item, key: store }) => sendDirect(deployment, to, slot, item, store), next);
}

/** To the store with this key, if there is one; else it comes back. */
function sendDirect(deployment: Deployment, state: State, slot: number, item: ToStore, key: string): State {
  const { direct, bounced } = state.slots[slot]!;
  const { paused } = state;
  if (state.store.value.key === key)
    return withSlot(state, slot, { direct: deployment.part([...direct.value, item]) });
  if (paused?.store.value.key !== key || !('frame' in item))
    return withSlot(state, slot, { bounced: bounced.includes(key) ? bounced : [...bounced, key] });
  const inbox = deployment.part([...paused.inbox.value, { frame: item.frame, isDirect: true }]);
  return { ...state, paused: { ...paused, inbox } };
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
    missing: (session, seen) =>
      isExcused(server, state, slot) ? undefined : missingIn(changed, session, seen),
  });
  const { messages, direct: parts } = server.takeMessages(nowAt(state.time));
  const said = framesOf(server, messages, state.time);
  const direct = parts.flatMap(({ key, messages: some }) =>
    framesOf(server, some, state.time).map((item) => ({ item, key })),
  );
  const marks = state.slots.map(({ marks: one }, i) =>
    changed[i] === one.value ? one : deployment.part(changed[i]!),
  );
  return { server: deployment.part(server), marks, said, direct };
}

function framesOf(server: AppServer, messages: readonly HolderMessage[], sentAt: number): ToStore[] {
  const all = { partition: 0, epoch: server.machine.epochOf(0), messages };
  return intoFrames([all]).map(([part]) => ({ frame: frameOf(server, part!.messages), sentAt }));
}

export function frameOf(server: AppServer, messages: readonly HolderMessage[]): HolderPart {
  const { name: holder, queue, machine } = server;
  return { partition: 0, holder, queue, epoch: machine.epochOf(0), messages };
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
