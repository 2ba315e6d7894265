/**
 * Judges a history. Each acknowledged change must be there exactly once, and no failed one. No process may
 * change or read a session under a lock that another one has by then. The rules for lists are the simulator's
 * (test/simulation/checks/marks.ts). Those for tokens know only the order of tokens.
 */
import { errorStatus, type LockedSessionErrorCode } from '#locked-session';
import { compareTokens, type Token } from '#protocol';
import { clash, wrongInList, type Mark, type Outcome } from '../simulation/checks/marks.js';
import { attributes, type Attribute, type History, type Request, type Visit } from './history.js';

/** A mark that a request should make: when it is known to be made, and under which token, if any. */
interface Made extends Mark {
  readonly acknowledgedAt: number;
  readonly token: Token | undefined;
}

/** All that is wrong with the history, as sentences. */
export function judge(history: History): string[] {
  const bySession = new Map<string, Request[]>();
  for (const request of history.requests) {
    const others = bySession.get(request.session);
    if (others) others.push(request);
    else bySession.set(request.session, [request]);
  }
  return [
    ...history.requests.flatMap(undocumented),
    ...[...bySession].flatMap(([session, requests]) => [...judgeSession(session, requests, history)]),
  ];
}

/** The marks of a request. Those of a commit within the scope are apart. */
export function outcomeOf({ code, end }: Request, visit: Visit | undefined): Outcome {
  if (!Number.isFinite(end)) return 'unknown';
  if (code === undefined) return 'acknowledged';
  // A scope that never entered has changed nothing, even if its request was not answered.
  if (!visit) return 'refused';
  return isDocumented(code) && code !== 'outcome-unknown' ? 'refused' : 'unknown';
}

function* judgeSession(session: string, requests: readonly Request[], history: History): Generator<string> {
  const left = history.left.get(session);
  if (!left) return yield `${session} was not read at the end`;
  const visits = requests
    .flatMap(({ id }) => history.visits.get(id) ?? [])
    .toSorted((one, other) => one.entered - other.entered);
  const orders = new Map(requests.map((request) => [request.id, request]));
  for (const attribute of attributes) {
    const made = marksOf(requests, attribute, history);
    const at = `'${attribute}' of ${session}`;
    yield* judgeEnd(left[attribute], made, at);
    for (const visit of visits)
      yield* judgeView(visit, orders.get(visit.id)!, left[attribute], made, attribute);
  }
  yield* judgeWholes(requests, left);
  yield* judgeTurns(visits, orders, session);
}

function* judgeEnd(list: readonly string[], made: ReadonlyMap<string, Made>, at: string): Generator<string> {
  const due = [...made.values()].filter(({ outcome }) => outcome === 'acknowledged').map(({ id }) => id);
  for (const wrong of wrongInList(list, due, made)) yield `the end ${wrong} in ${at}`;
  let last: Token = [0, 0];
  for (const id of list) {
    const token = made.get(id)?.token;
    if (!token) continue;
    if (compareTokens(token, last) < 0)
      yield `${id}, of token ${token.join('.')}, stands behind one of ${last.join('.')} in ${at}`;
    last = token;
  }
}

/** A scope must see at its beginning all changes of earlier grants, and none of later ones. */
function* judgeView(
  visit: Visit,
  request: Request,
  end: readonly string[],
  made: ReadonlyMap<string, Made>,
  attribute: Attribute,
): Generator<string> {
  const list = visit.saw[attribute];
  if (!list) return;
  const at = `in '${attribute}' of ${request.session}`;
  const due = [...made.values()].filter(({ acknowledgedAt }) => acknowledgedAt < request.begin);
  // A scope may see another one's change before it is durable. If it never becomes durable, both must fail.
  const isSure = outcomeOf(request, visit) === 'acknowledged';
  for (const wrong of wrongInList(
    list,
    due.map(({ id }) => id),
    made,
  )) {
    if (isSure || !wrong.includes('refused')) yield `${visit.id} ${wrong} ${at}`;
  }
  for (const id of list) {
    const token = made.get(id)?.token;
    if (token && compareTokens(token, visit.token) > 0)
      yield `${visit.id}, of token ${visit.token.join('.')}, sees ${id}, of ${token.join('.')}, ${at}`;
  }
  const seen = new Set(list);
  for (const id of end) {
    const token = made.get(id)?.token;
    if (token && compareTokens(token, visit.token) < 0 && !seen.has(id))
      yield `a stale write: ${id}, of token ${token.join('.')}, came after ${visit.id}, of ${visit.token.join('.')}, ${at}`;
  }
}

/** A request for both lists must change both or none. */
function* judgeWholes(
  requests: readonly Request[],
  left: Readonly<Record<Attribute, readonly string[]>>,
): Generator<string> {
  const [a, b] = [new Set(left.a), new Set(left.b)];
  for (const request of requests) {
    const { id, session } = request;
    if (writtenBy(request).length > 1 && a.has(id) !== b.has(id))
      yield `${id} changed one attribute of ${session}, not both`;
  }
}

/** Visits that overlap. `visits` are in the order of entering. */
function* judgeTurns(
  visits: readonly Visit[],
  orders: ReadonlyMap<string, Request>,
  session: string,
): Generator<string> {
  let newest: Visit | undefined;
  let inside: Visit[] = [];
  for (const visit of visits) {
    inside = inside.filter(({ left = Infinity }) => left > visit.entered);
    for (const other of inside) {
      const wrong = wrongInMeeting(visit, other, orders, session);
      if (wrong) yield wrong;
    }
    inside.push(visit);
    if (newest && compareTokens(visit.token, newest.token) < 0)
      yield `${visit.id} enters ${session} under ${visit.token.join('.')}, after ${newest.id} under ${newest.token.join('.')}`;
    else newest = visit;
  }
}

/**
 * What is wrong when `visit` enters while `other` is inside: each attribute is one scope's, and each token's
 * scopes are among themselves.
 */
function wrongInMeeting(
  visit: Visit,
  other: Visit,
  orders: ReadonlyMap<string, Request>,
  session: string,
): string | undefined {
  if (compareTokens(other.token, visit.token) === 0) {
    const both = clash(visit, other);
    return both && `${visit.id} and ${other.id} are both at '${both}' of ${session}`;
  }
  if (outcomeOf(orders.get(other.id)!, other) !== 'acknowledged') return undefined;
  return `${visit.id}, of token ${visit.token.join('.')}, came into ${session} while ${other.id}, of ${other.token.join('.')}, was inside, and that was acknowledged`;
}

function undocumented({ id, session, task, end, code }: Request): string[] {
  if (!Number.isFinite(end)) return [`${id} (${task} in ${session}) was never answered`];
  if (code === undefined || code === 'connection-broke' || isDocumented(code)) return [];
  return [`${id} (${task} in ${session}) was answered an error that nobody should see: ${code}`];
}

const isDocumented = (code: string): code is LockedSessionErrorCode => Object.hasOwn(errorStatus, code);

function marksOf(requests: readonly Request[], attribute: Attribute, history: History): Map<string, Made> {
  const made = new Map<string, Made>();
  for (const request of requests) {
    if (!writtenBy(request).includes(attribute)) continue;
    const { id, session, end, task } = request;
    const visit = history.visits.get(id);
    const outcome = outcomeOf(request, visit);
    const mark = (name: string, result: Outcome, at: number) => {
      const acknowledgedAt = result === 'acknowledged' ? at : Infinity;
      made.set(name, { id: name, session, attribute, outcome: result, acknowledgedAt, token: visit?.token });
    };
    const { committed } = visit ?? {};
    if (committed === undefined) mark(id, outcome, end);
    else mark(id, 'acknowledged', committed);
    if (task === 'commits') mark(`${id}+`, outcome, end);
  }
  return made;
}

function writtenBy({ task, attribute }: Pick<Request, 'task' | 'attribute'>): readonly Attribute[] {
  if (task === 'read') return [];
  return task === 'both' || task === 'whole' || task === 'nested' ? attributes : [attribute];
}
