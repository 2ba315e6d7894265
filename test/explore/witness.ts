/**
 * What has to be remembered to judge a step of the store: who asked for a session in which order, and when
 * its lock was asked back. It follows what the store reads and says, and is no part of any process.
 */
import { sameToken, type HolderPart, type Now, type StoreMessage, type Token } from '#protocol';
import { Violation } from './marks.js';

interface Place {
  readonly holder: string;
  readonly request: number;
  readonly deadline: number;
}

export interface LastGrant {
  readonly token: Token;
  readonly holder: string;
  readonly at: number;
  /** Who had the grants before it, as many as `remembered`. */
  readonly before: readonly string[];
  /** When the lock was first asked back. */
  readonly askedAt: number | undefined;
}

/** After so many grants in a row, nobody else wants the lock. */
const remembered = 4;

export interface Witness {
  /** Those whose requests the owner has read, in order, by session. */
  readonly lines: ReadonlyMap<string, readonly Place[]>;
  /** The highest request of a holder for a session that was read or cancelled, by holder and session. */
  readonly known: ReadonlyMap<string, number>;
  /** The last grant of each session. */
  readonly grants: ReadonlyMap<string, LastGrant>;
  /** When the owner has heard a renewal of each holder last. */
  readonly heardAt: ReadonlyMap<string, number>;
  /** When the owner has read a change of each session last, by the wall clock. */
  readonly usedAt: ReadonlyMap<string, number>;
  /** When the owner has claimed the partition. */
  readonly claimedAt: number;
  /** When the owner has heard again, and who spoke while it was deaf. */
  readonly sparedAt: number;
  readonly spoke: readonly string[];
}

export const emptyWitness: Witness = {
  lines: new Map(),
  known: new Map(),
  grants: new Map(),
  heardAt: new Map(),
  usedAt: new Map(),
  claimedAt: -Infinity,
  sparedAt: -Infinity,
  spoke: [],
};

/** Another owner begins anew. */
export function claimed(witness: Witness, mono: number): Witness {
  return { ...witness, lines: new Map(), known: new Map(), heardAt: new Map(), claimedAt: mono };
}

/**
 * The owner has read a frame. One from a session's own queue may be old: the owner skips it when it has read
 * its request before, or when that was cancelled.
 */
export function read(
  witness: Witness,
  { holder, messages }: HolderPart,
  { hasQueues, isQueued }: { readonly hasQueues: boolean; readonly isQueued: boolean },
  { mono, wall }: Now,
): Witness {
  let { lines, known, heardAt, usedAt } = witness;
  const knownOf = (session: string) => known.get(`${holder} ${session}`) ?? 0;
  const know = (session: string, request: number) => {
    if (request > knownOf(session)) known = new Map(known).set(`${holder} ${session}`, request);
  };
  const lineOf = (session: string) => lines.get(session) ?? [];
  const change = (session: string, line: readonly Place[]) => (lines = new Map(lines).set(session, line));
  for (const message of messages) {
    if (message.kind === 'acquire') {
      const { session, request, waitMs } = message;
      if (isQueued && request <= knownOf(session)) continue;
      if (isQueued) know(session, request);
      const line = lineOf(session);
      const place = { holder, request, deadline: mono + waitMs };
      const at = line.findIndex((one) => one.holder === holder);
      if (at >= 0 && line[at]!.request > request) continue;
      if (at >= 0 && line[at]!.request === request) change(session, line.with(at, place));
      else change(session, [...line.filter((one) => one.holder !== holder), place]);
    }
    if (message.kind === 'knock') {
      const { session, request, waitMs } = message;
      const line = lineOf(session);
      const at = line.findIndex((one) => one.holder === holder && one.request === request);
      if (at >= 0) change(session, line.with(at, { holder, request, deadline: mono + waitMs }));
    }
    if (message.kind === 'cancel') {
      if (hasQueues) know(message.session, message.request);
      const line = lineOf(message.session);
      change(
        message.session,
        line.filter((one) => one.holder !== holder || one.request !== message.request),
      );
    }
    if (message.kind === 'leave')
      for (const [session, line] of lines)
        change(
          session,
          line.filter((one) => one.holder !== holder),
        );
    if ((message.kind === 'commit' || message.kind === 'release') && message.set.size > 0)
      usedAt = new Map(usedAt).set(message.session, wall);
    if (message.kind === 'renew') heardAt = new Map(heardAt).set(holder, mono);
  }
  return { ...witness, lines, known, heardAt, usedAt };
}

/** The owner says something to a holder. Throws when somebody is granted before his turn (rule 2). */
export function say(witness: Witness, holder: string, message: StoreMessage, mono: number): Witness {
  let { lines, known: read, grants } = witness;
  if (message.kind === 'grant') {
    const { session, request, token, contended } = message;
    const line = lines.get(session) ?? [];
    const known = grants.get(session);
    const isNew = !known || !sameToken(known.token, token);
    const at = line.findIndex((one) => one.holder === holder && one.request === request);
    if (isNew && at > 0) {
      const overtaken = line.slice(0, at).find(({ deadline }) => deadline > mono);
      if (overtaken)
        throw new Violation(`${holder} is granted ${session} before ${overtaken.holder}, who asked first`);
    }
    lines = new Map(lines).set(
      session,
      line.filter((one) => one.holder !== holder),
    );
    const before = known ? [...known.before, known.holder].slice(-remembered) : [];
    if (isNew && message.untilIdle && before.every((one) => one === holder))
      throw new Violation(
        `${holder} is to give ${session} back when idle, and nobody else has had it lately`,
      );
    const grant = isNew ? { token, holder, at: mono, before, askedAt: undefined } : known;
    const askedAt = grant.askedAt ?? (contended ? mono : undefined);
    grants = new Map(grants).set(session, { ...grant, askedAt });
  }
  if (message.kind === 'recall') grants = askedBack(grants, message.session, message.token, mono);
  if (message.kind === 'renewed')
    for (const [session, token] of message.recalled) grants = askedBack(grants, session, token, mono);
  // Its acquire may come out of the queue once more. Its place stays, if it has one.
  if (message.kind === 'refused' && message.why === 'unheard')
    read = new Map([...read].filter(([who]) => who !== `${holder} ${message.session}`));
  else if (message.kind === 'refused' && message.request !== undefined) {
    const line = lines.get(message.session) ?? [];
    lines = new Map(lines).set(
      message.session,
      line.filter((one) => one.holder !== holder || one.request !== message.request),
    );
  }
  return { ...witness, lines, known: read, grants };
}

function askedBack(
  grants: Witness['grants'],
  session: string,
  token: Token,
  mono: number,
): Witness['grants'] {
  const known = grants.get(session);
  if (!known || known.askedAt !== undefined || !sameToken(known.token, token)) return grants;
  return new Map(grants).set(session, { ...known, askedAt: mono });
}
