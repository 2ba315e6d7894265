/**
 * Steps of the store: a batch is read, written and answered; and what the witness must not see is a
 * violation.
 */
import { sameToken, type HolderPart, type Revoked, type SessionRecord, type StoreMessage } from '#protocol';
import { close as closed, giveBack, open as opened, settle as settledIn } from './broker-queues.js';
import { nowAt, withSlot, type Deployment, type State, type ToStore } from './deployment.js';
import { letters } from './folding.js';
import { Violation, type Mark } from './marks.js';
import type { Disk } from './disk.js';
import type { Part } from './parts.js';
import { dueIn, StoreServer, type Answers, type Batch, type WriteEnd } from './store-server.js';
import { claimed, read, say } from './witness.js';

/** So many writes may be lost with the power. */
const maxHistory = 2;
const dayMs = 24 * 3_600_000;

/** What a store made of a batch. */
interface Served {
  readonly store: Part<StoreServer>;
  readonly disk: Part<Disk>;
  readonly answers: Answers;
}

/** The state after the store has read one batch. `name` says which, beside the time and what is stored. */
export function serve(
  deployment: Deployment,
  state: State,
  name: string,
  batch: Batch,
  end: WriteEnd,
): State {
  const now = nowAt(state.time);
  const key = `${name} ${end} ${state.time} ${state.behindMs} ${state.disk.id}`;
  const { store, disk, answers } = state.store.remember(key, () => served(deployment, state, batch, end));
  const { messages, epoch, echo, again, warns } = answers;
  let witness = state.witness.value;
  if (!state.store.value.machine || again) witness = claimed(witness, now.mono);
  let next: State = { ...state, store, disk, isStoreDue: false };
  if (disk !== state.disk) next = forgetEnded(deployment, next, state, batch.frame !== undefined);
  if (disk.value.epoch !== state.disk.value.epoch) next = { ...next, history: deployment.part([]) };
  else if (disk !== state.disk && state.left.power > 0)
    next = {
      ...next,
      history: deployment.part([...next.history.value, state.disk.value].slice(-maxHistory)),
    };
  judgeEpochs(state, next, batch.frame, warns);
  if (again) next = givenUp(deployment, next, again);
  else if (batch.frame) {
    const hasQueues = deployment.parameters.holder.queues === 'per-session';
    witness = read(witness, batch.frame, { hasQueues, isQueued: batch.from !== undefined }, now);
  }
  for (const [queue, list] of messages) {
    const slot = letters.indexOf(queue[0]!);
    const [holder] = queue.split('.') as [string];
    for (const message of list) {
      const isNotice = batch.goneQueue !== undefined && message.kind === 'refused';
      if (!isNotice) witness = say(witness, holder, message, now.mono);
      if (state.slots[slot]!.server.value.name === holder)
        judge(deployment, state, { ...next, witness: deployment.part(witness) }, slot, message);
    }
    next = send(deployment, next, queue, epoch, list);
  }
  next = withQueues(deployment, next, answers);
  if (echo !== undefined) next = sendEcho(deployment, next, echo);
  return { ...next, witness: deployment.part(witness) };
}

function served(deployment: Deployment, state: State, batch: Batch, end: WriteEnd): Served {
  const store = deployment.copy(state.store);
  const { mono, wall } = nowAt(state.time);
  const answers = store.step(batch, state.disk.value, end, { mono, wall: wall - state.behindMs });
  const disk = answers.disk === state.disk.value ? state.disk : deployment.part(answers.disk);
  return { store: deployment.part(store), disk, answers };
}

export function isAnythingDue({ disk, time, behindMs }: State): boolean {
  return dueIn(disk.value.records, nowAt(time).wall - behindMs).length > 0;
}

/** The store looks at the expiry index. */
export function lookForDue(deployment: Deployment, state: State): State {
  const { isStoreDue } = state;
  return { ...serve(deployment, state, 'look for due', { looksForDue: true }, 'written'), isStoreDue };
}

/** The store loses its turn, or dies. Another one owns the partition when it is delivered something. */
export function takeOver(deployment: Deployment, state: State): State {
  judgeOwnQueues(state);
  const again = deployment.copy(state.store).forget();
  const key = `k${Number(state.store.value.key.slice(1)) + 1}`;
  const store = new StoreServer(key, deployment.parameters.nextStore, deployment.rules.store);
  // Its own queue goes with the store.
  const slots = state.slots.map((slot) =>
    slot.direct.value.length > 0 ? { ...slot, direct: deployment.part([]) } : slot,
  );
  const next = { ...state, slots, store: deployment.part(store) };
  return givenUp(deployment, { ...next, isStoreDue: false }, again);
}

/** Rule 22: no request goes with a store's own queue. The next owner would not know it, nor its place. */
function judgeOwnQueues({ slots }: State): void {
  for (const { server, direct } of slots)
    for (const item of direct.value)
      if ('frame' in item && item.frame.messages.some(({ kind }) => kind === 'acquire' || kind === 'knock'))
        throw new Violation(`the request of ${server.value.name} is lost with the store`);
}

/**
 * The store that stands still goes on with a batch. Until the other one has claimed the partition, it is the
 * owner. From then on its writes fail, and it says nothing (rule 7).
 */
export function servePaused(deployment: Deployment, state: State, name: string, batch: Batch): State {
  const { paused, store, again, echoes, queues, slots } = state;
  if (!paused!.store.value.owns(state.disk.value) && deployment.rules.verifies !== false)
    return { ...state, paused: undefined };
  const alone = { ...state, store: paused!.store, isStoreDue: false };
  const next = serve(deployment, alone, name, batch, 'written');
  // Its channel is gone: it settles nothing, opens nothing, and hears no echo of its own.
  const withoutEchoes = next.slots.map((slot, at) => ({ ...slot, toStore: slots[at]!.toStore }));
  return {
    ...next,
    ...{ store, again, echoes, queues, isStoreDue: state.isStoreDue, slots: withoutEchoes },
    paused: next.store.value.machine && { ...paused!, store: next.store },
  };
}

/** What becomes of queues of sessions, after a batch. */
function withQueues(deployment: Deployment, state: State, { open, close, settled }: Answers): State {
  if (open.length + close.length + settled.length === 0) return state;
  let { value } = state.queues;
  for (const session of close) value = closed(value, session);
  for (const session of open) value = opened(value, session);
  for (const { session, n } of settled) value = settledIn(value, session, n);
  return { ...state, queues: deployment.part(value) };
}

function givenUp(deployment: Deployment, state: State, again: readonly HolderPart[]): State {
  return {
    ...state,
    again: deployment.part([...again, ...state.again.value]),
    echoes: deployment.part([]),
    returned: deployment.part([]),
    queues: deployment.part(giveBack(state.queues.value)),
    slots: state.slots.map((slot) => ({
      ...slot,
      toStore: deployment.part(slot.toStore.value.filter((item) => 'frame' in item)),
      direct: deployment.part(slot.direct.value.filter((item) => 'frame' in item)),
    })),
  };
}

/** What is sent to a queue that is not there any more comes back. */
function send(
  deployment: Deployment,
  state: State,
  queue: string,
  epoch: number,
  messages: readonly StoreMessage[],
): State {
  const slot = letters.indexOf(queue[0]!);
  const { server, toHolder, isSevered } = state.slots[slot]!;
  if (server.value.queue !== queue || isSevered) {
    const { returned } = state;
    const decides = deployment.parameters.store.unreachableHolder === 'revoke';
    if (!decides || returned.value.includes(queue)) return state;
    return { ...state, returned: deployment.part([...returned.value, queue]) };
  }
  const frame = { partition: 0, epoch, messages } as const;
  const key = deployment.parameters.hasOwnQueues ? state.store.value.key : '';
  const item = { frame, queue, key };
  return withSlot(state, slot, { toHolder: deployment.part([...toHolder.value, item]) });
}

/** The echo stands behind what is in the queues now. */
function sendEcho(deployment: Deployment, state: State, echo: number): State {
  const { echoesInPartition } = deployment.parameters;
  const behind = (queue: Part<readonly ToStore[]>) =>
    queue.value.length === 0 ? queue : deployment.part([...queue.value, { echo }]);
  const slots = state.slots.map((slot) => ({
    ...slot,
    toStore: behind(slot.toStore),
    direct: echoesInPartition ? slot.direct : behind(slot.direct),
  }));
  return { ...state, slots, echoes: deployment.part([...state.echoes.value, echo]) };
}

/** Whether all has been read that stood before the echo. */
export function hasComeBack(state: State, echo: number): boolean {
  return state.slots.every(({ toStore, direct }) =>
    [...toStore.value, ...direct.value].every((item) => 'frame' in item || item.echo !== echo),
  );
}

/** What is left of a queue when its first frame is taken: an echo that is first has nothing before it. */
export function rest(queue: readonly ToStore[]): readonly ToStore[] {
  const first = queue.findIndex((item, at) => at > 0 && 'frame' in item);
  return first < 0 ? [] : queue.slice(first);
}

/** A session that has ended, by a scope or since its time was over, takes its marks with it. */
function forgetEnded(deployment: Deployment, state: State, before: State, isSpokenTo: boolean): State {
  let { slots } = state;
  const { records } = state.disk.value;
  for (const [session, old] of before.disk.value.records) {
    const record = records.get(session);
    const isKept = record && !isMadeAnew(old, record);
    if (isKept && (record.destroyed === undefined || old.destroyed !== undefined)) continue;
    if (!isKept && old.destroyed === undefined) judgeExpiry(deployment, before, session, old, isSpokenTo);
    const end = (mark: Mark): Mark => (mark.session === session ? { ...mark, outcome: 'gone' } : mark);
    slots = slots.map((slot) => ({ ...slot, marks: deployment.part(slot.marks.value.map(end)) }));
  }
  return { ...state, slots };
}

/** It was removed, and made for another holder, within one batch. */
function isMadeAnew(old: SessionRecord, { ended, grant }: SessionRecord): boolean {
  return ended.length === 0 && grant !== undefined && !(old.grant && sameToken(old.grant.token, grant.token));
}

/**
 * Rule 15: a session is kept for its time after its last use; that of a silent holder, for whom nobody waits,
 * a quarter longer.
 */
function judgeExpiry(
  { parameters }: Deployment,
  { time, witness }: State,
  session: string,
  { touched, grant }: SessionRecord,
  isSpokenTo: boolean,
): void {
  const { ttlMs } = parameters.store;
  const { usedAt, lines } = witness.value;
  const isSilent = grant && !isSpokenTo && (lines.get(session) ?? []).length === 0;
  const used = Math.max(touched, usedAt.get(session) ?? 0);
  if (nowAt(time).wall >= used + ttlMs * (isSilent ? 1.25 : 1)) return;
  throw new Violation(`${session} expires too early: ${nowAt(time).wall - used} ms after it was used`);
}

/** What the store says must be right in what was there before. */
function judge(
  deployment: Deployment,
  before: State,
  state: State,
  slot: number,
  message: StoreMessage,
): void {
  if (message.kind === 'revoked') judgeRevocation(deployment, state, slot, message);
  if (message.kind === 'recall') judgeRecall(deployment, state, slot, message);
  if (message.kind !== 'grant') return;
  const record = before.disk.value.records.get(message.session);
  if (record?.destroyed !== undefined && isNoticed(record.destroyed, deployment, before))
    throw new Violation(`${letters[slot]} is granted ${message.session}, which was destroyed a moment ago`);
  if (record && isOver(record, deployment, before) && message.set.size + message.keep.length > 0)
    throw new Violation(`${letters[slot]} is granted ${message.session}, whose time is over`);
}

function isNoticed(destroyedUntil: number, { parameters }: Deployment, { time }: State): boolean {
  const { tombstoneMs, destroyedNoticeMs } = parameters.store;
  return nowAt(time).wall < destroyedUntil - tombstoneMs + destroyedNoticeMs;
}

function isOver({ grant, touched }: SessionRecord, { parameters }: Deployment, { time }: State): boolean {
  return grant === undefined && touched + parameters.store.ttlMs <= nowAt(time).wall;
}

/** Rule 15: a holder that is heard, and has a scope inside, is not asked back since the session is due. */
function judgeRecall(
  { parameters }: Deployment,
  state: State,
  slot: number,
  { session, token }: Extract<StoreMessage, { kind: 'recall' }>,
): void {
  const { lines, heardAt } = state.witness.value;
  const { name, seats } = state.slots[slot]!.server.value;
  const seat = seats.get(session);
  if ((lines.get(session) ?? []).length > 0 || seat?.scope !== 'inside') return;
  // It tells of its uses eight times in a session's time to live.
  const long = state.time - parameters.store.ttlMs / 4;
  const isHeard = (heardAt.get(name) ?? -Infinity) > long && seat.since < long;
  if (isHeard && sameToken(seat.grant!.token, token))
    throw new Violation(`${name} is asked to give ${session} back, which it uses and nobody waits for`);
}

/** Rule 13: no lie moves the epochs, and data that are older than an app server are not used in silence. */
function judgeEpochs(before: State, state: State, frame: HolderPart | undefined, warns: boolean): void {
  const { epoch } = state.disk.value;
  if (epoch > nowAt(state.time).wall + dayMs)
    throw new Violation(`a store claims epoch ${epoch}, which was made up`);
  if (frame && frame.epoch > 0 && before.behindMs > 0 && frame.epoch === before.lostEpoch && !warns)
    throw new Violation(`the store says nothing, though its data are older than ${frame.holder}`);
}

/** Rule 10: whoever spoke in time is not punished for what the store has not read yet. */
function judgeRevocation(
  { parameters }: Deployment,
  state: State,
  slot: number,
  { session, token, why }: Revoked,
): void {
  const { server, toStore, direct } = state.slots[slot]!;
  const { name } = server.value;
  // Whose queue is gone counts as gone at once.
  if (why === 'lease-over' && parameters.store.unreachableHolder === 'revoke') return;
  const { grants, heardAt, claimedAt, sparedAt, spoke } = state.witness.value;
  const askedAt = grants.get(session)?.askedAt ?? Infinity;
  const ms = why === 'lease-over' ? parameters.store.leaseMs : parameters.store.recallTimeoutMs;
  if (spoke.includes(name) && state.time < sparedAt + ms)
    throw new Violation(`${name} has ${session} taken away (${why}), though what it said was refused`);
  const [deadline, kinds] =
    why === 'lease-over'
      ? [(heardAt.get(name) ?? claimedAt) + parameters.store.leaseMs, ['renew']]
      : [askedAt + parameters.store.recallTimeoutMs, ['release', 'destroy']];
  for (const item of [...toStore.value, ...direct.value]) {
    if (!('frame' in item) || item.sentAt >= deadline || item.frame.holder !== name) continue;
    const isAnswer = item.frame.messages.some(
      (one) => kinds.includes(one.kind) && (!('token' in one) || sameToken(one.token, token)),
    );
    if (isAnswer) throw new Violation(`${name} has ${session} taken away (${why}), though it spoke in time`);
  }
}
