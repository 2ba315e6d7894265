/**
 * For specs: judges what a store does with one message. It knows the message, the state on disk before it,
 * and nothing else. A sender without the current token changes nothing. Tokens and versions only grow. Data
 * goes only to the holder of a grant. Memory has bounds.
 */
import { decodeHead } from '../store/record.js';
import type { GrantRecord, SessionRecord } from '../store/record.js';
import { decodeAttribute } from '../store/record.js';
import type { Acquire, HolderMessage, StoreMessage } from '../wire/messages.js';
import {
  compareTokens,
  compareVersions,
  sameToken,
  type Now,
  type Token,
  type Version,
} from '../wire/order.js';
import { asTexts } from './message-text.js';
import type { StoreParameters } from '../store/parameters.js';
import type { PartitionMachine } from '../store/partition-machine.js';

export interface StoredRow {
  readonly head: Uint8Array;
  readonly attributes: ReadonlyMap<string, Uint8Array>;
}
export type Rows = ReadonlyMap<string, StoredRow>;

export interface Row {
  readonly head: Omit<SessionRecord, 'attributes'>;
  readonly attributes: Record<string, string>;
}
interface Said {
  readonly who: string;
  readonly queue: string;
  readonly message: HolderMessage;
}
interface Sent {
  readonly queue: string;
  readonly message: StoreMessage;
}
type Change = Extract<HolderMessage, { kind: 'commit' | 'release' | 'destroy' }>;
type Grant = Extract<StoreMessage, { kind: 'grant' }>;
type Renewed = Extract<StoreMessage, { kind: 'renewed' }>;

export class HostileChecker {
  private readonly tokens = new Map<string, Token>();
  private readonly versions = new Map<string, Version>();
  /** By token: its holder, and the last seq applied under it. */
  private readonly applied = new Map<string, { holder: string; seq: number }>();
  private readonly queues = new Map<string, Set<string>>();
  /** By holder, session and request: the values with which the session would be made. */
  private readonly creates = new Map<string, ReadonlyMap<string, Uint8Array>>();

  constructor(
    private readonly rules: StoreParameters,
    private readonly isHonest: (holder: string) => boolean,
  ) {}

  read(stored: StoredRow | undefined): Row | undefined {
    if (!stored) return undefined;
    const texts = [...stored.attributes].map(([name, row]) => [name, decodeAttribute(row).bytes] as const);
    return { head: decodeHead(stored.head), attributes: asTexts(texts) };
  }

  judge(before: Rows, after: Rows, by: Said | undefined, sent: readonly Sent[], now: Now): void {
    if (by) this.note(by);
    for (const id of new Set([...before.keys(), ...after.keys()])) {
      if (before.get(id) === after.get(id)) continue;
      this.judgeSession(id, this.read(before.get(id)), this.read(after.get(id)), by, now);
    }
    for (const { queue, message } of sent) this.answer(queue, message, after, by);
  }

  private note({ who, queue, message }: Said): void {
    this.queues.set(who, (this.queues.get(who) ?? new Set()).add(queue));
    if (message.kind === 'acquire') this.creates.set(askedBy(who, message), message.create ?? new Map());
  }

  private judgeSession(
    id: string,
    was: Row | undefined,
    is: Row | undefined,
    by: Said | undefined,
    now: Now,
  ): void {
    const own = by && 'session' in by.message && by.message.session === id ? by : undefined;
    this.reach(id, was, is, by, own);
    if (is) this.grows(id, is);
    if (is) this.data(id, was, is, own, now);
    else demand(wasDue(was!, this.rules, now), `${id} is removed before its time`);
    demand(staysDestroyed(was, is, this.rules, now), `${id} is destroyed, and granted`);
    if (was?.head.grant) this.handover(id, was.head.grant, is?.head.grant, by);
  }

  /**
   * Whether the machine's memory keeps within its bounds. With `evicted`, everything that could be loaded
   * again must be gone.
   */
  memory(store: PartitionMachine, unsettled: number, evicted = true): void {
    const { waiting, contended, sessions, queues, bytes, lines, weights, watched, outputs } = store.memory();
    demand(waiting === lines.reduce((sum, length) => sum + length, 0), 'waiters are counted wrongly');
    demand(waiting <= this.rules.waitersPerPartition, `${waiting} wait`);
    demand(
      lines.every((length) => length > 0 && length <= this.rules.waitersPerSession),
      `${lines.join()} wait`,
    );
    demand(queues <= this.rules.waitersPerPartition, `${queues} queues are open`);
    const kept = waiting + queues;
    demand(unsettled === kept, `${unsettled} frames are kept for ${waiting} waiters and ${queues} queues`);
    demand(outputs.pending === 0, 'outputs are left after a flush');
    demand(
      outputs.open === kept,
      `${outputs.open} deliveries are open for ${waiting} waiters and ${queues} queues`,
    );
    const counted = weights.reduce((sum, weight) => sum + weight, 0);
    demand(bytes === counted, `${bytes} bytes are said to be in memory, not ${counted}`);
    const needed = contended + watched;
    if (evicted) demand(sessions <= needed, `${sessions} sessions are in memory, and ${needed} needed`);
  }

  /**
   * A message reaches only sessions that it names. A renewal changes only the time of its sender's sessions.
   */
  private reach(
    id: string,
    was: Row | undefined,
    is: Row | undefined,
    by: Said | undefined,
    own: Said | undefined,
  ) {
    if (!by || own) return;
    const { kind } = by.message;
    demand(kind === 'renew' || kind === 'leave', `a ${kind} of another session reaches ${id}`);
    if (kind !== 'renew') return;
    demand(was?.head.grant?.holder === by.who, `${by.who} touches ${id}, which it does not hold`);
    const rest = ({ head: { version, grant, ended, destroyed }, attributes }: Row) =>
      JSON.stringify([version, grant, ended, destroyed, attributes]);
    demand(is !== undefined && rest(was!) === rest(is), `a renewal changes ${id}`);
  }

  private grows(id: string, { head }: Row): void {
    const { version, grant, ended } = head;
    const [lastVersion, lastToken] = [this.versions.get(id), this.tokens.get(id)];
    demand(!lastVersion || compareVersions(version, lastVersion) >= 0, `the version of ${id} shrinks`);
    this.versions.set(id, version);
    demand(ended.length <= this.rules.endedGrants, `${ended.length} ended grants of ${id}`);
    for (const { token, holder, seq } of [...ended, ...(grant ? [grant] : [])]) {
      const before = this.applied.get(token.join());
      demand(!before || (before.holder === holder && before.seq <= seq), `${token.join('.')} is rewritten`);
      this.applied.set(token.join(), { holder, seq });
    }
    if (!grant) return;
    demand(!lastToken || compareTokens(grant.token, lastToken) >= 0, `the token of ${id} shrinks`);
    this.tokens.set(id, grant.token);
  }

  /**
   * The attributes are those from before, with the change of the current token and next seq. An unknown
   * session is made anew by its next grant, and so is one that is due and not used now.
   */
  private data(id: string, was: Row | undefined, is: Row, own: Said | undefined, now: Now): void {
    const expected = this.expected(id, was, is, own, now);
    const [a, b] = [expected, is.attributes].map((one) => JSON.stringify(Object.entries(one).sort(byName)));
    demand(a === b, `${own?.who ?? 'time'}: ${own?.message.kind} makes ${b} of ${id}, not ${a}`);
  }

  private expected(
    id: string,
    was: Row | undefined,
    is: Row,
    own: Said | undefined,
    now: Now,
  ): Record<string, string> {
    const grant = newGrant(was, is);
    const change = own && was && appliedChange(was, own);
    const isDue = !was || wasDue(was, this.rules, now);
    if (grant && isDue && !isUse(change)) {
      const asked = askedBy(grant.holder, { session: id, request: grant.request });
      return asTexts(this.creates.get(asked) ?? []);
    }
    const before = was?.attributes ?? {};
    return change ? changed(before, change) : before;
  }

  /** A lock of an honest holder goes to another only after the holder's own message. */
  private handover(id: string, was: GrantRecord, is: GrantRecord | undefined, by: Said | undefined): void {
    const same = is !== undefined && sameToken(was.token, is.token);
    if (same) demand(!was.revoked || is.revoked, `${was.token.join('.')} of ${id} is not revoked any more`);
    if (same && is.revoked === was.revoked) return;
    const willing = by?.who === was.holder && !(same && is.revoked);
    demand(willing || !this.isHonest(was.holder), `${was.holder} loses ${id} by ${by?.who ?? 'time'}`);
  }

  /** Answers go to the right holder, and are true. */
  private answer(queue: string, message: StoreMessage, after: Rows, by: Said | undefined): void {
    if (message.kind === 'grant') this.granted(queue, message, after);
    else if (message.kind === 'renewed') this.renewed(message, after, by?.who);
    else if (message.kind === 'committed') {
      const applied = this.applied.get(message.token.join());
      const isApplied = applied?.holder === by?.who && applied!.seq >= message.seq;
      demand(isApplied, `${message.session} is not committed`);
    }
  }

  /**
   * A grant may be over already. One step may grant a session, revoke that grant and grant it to the next.
   */
  private granted(queue: string, { session: id, token, request }: Grant, after: Rows): void {
    const { grant, ended = [] } = this.read(after.get(id))?.head ?? {};
    const isCurrent = grant !== undefined && sameToken(grant.token, token);
    const found = isCurrent ? grant : ended.find((one) => sameToken(one.token, token));
    if (!found) throw new Error(`a grant of ${id} that is not on disk`);
    const owns = this.queues.get(found.holder)?.has(queue) === true;
    demand(owns && !(isCurrent && grant.revoked), `${queue} is granted ${id} of ${found.holder}`);
    demand(!isCurrent || grant.request === request, `a grant of ${id} for another request`);
  }

  private renewed({ valid = [], recalled, revoked }: Renewed, after: Rows, who: string | undefined): void {
    const isIts = ([session, token]: readonly [string, Token], isRevoked: boolean) => {
      const found = this.read(after.get(session))?.head.grant;
      return found?.holder === who && sameToken(found!.token, token) && found!.revoked === isRevoked;
    };
    const areIts = [...valid, ...recalled].every((one) => isIts(one, false));
    demand(areIts, `${who} is told of others`);
    const areRevoked = revoked.every((one) => isIts(one, true));
    demand(areRevoked, `${who} is told of what is not revoked`);
  }
}

/** The sender's change, if the state before it permits it. */
function appliedChange({ head }: Row, { who, message }: Said): Change | undefined {
  const isChange = message.kind === 'commit' || message.kind === 'release' || message.kind === 'destroy';
  return isChange && mayChange(head.grant, who, message) ? message : undefined;
}

/** A release without changes does not use the session. */
function isUse(change: Change | undefined): boolean {
  if (change?.kind !== 'release') return change !== undefined;
  return change.set.size + change.removed.length > 0;
}

function newGrant(was: Row | undefined, is: Row): GrantRecord | undefined {
  const [last, grant] = [was?.head.grant, is.head.grant];
  return last && grant && sameToken(last.token, grant.token) ? undefined : grant;
}

function mayChange(grant: GrantRecord | undefined, who: string, { token, seq }: Change): boolean {
  if (!grant || grant.holder !== who || grant.revoked || !sameToken(grant.token, token)) return false;
  return seq === grant.seq + 1;
}

function changed(attributes: Record<string, string>, message: Change): Record<string, string> {
  if (message.kind === 'destroy') return {};
  const kept = Object.entries(attributes).filter(([name]) => !message.removed.includes(name));
  return { ...Object.fromEntries(kept), ...asTexts(message.set) };
}

function wasDue({ head: { destroyed, touched } }: Row, { ttlMs }: StoreParameters, { wall }: Now): boolean {
  return (destroyed ?? touched + ttlMs) <= wall;
}

/** Rule 14: a destroyed session is granted only after the time of its notice, and without attributes. */
function staysDestroyed(
  was: Row | undefined,
  is: Row | undefined,
  rules: StoreParameters,
  { wall }: Now,
): boolean {
  const until = was?.head.destroyed;
  if (until === undefined || !is?.head.grant) return true;
  const isEmpty = Object.keys(is.attributes).length === 0;
  return until <= wall || (until - rules.tombstoneMs + rules.destroyedNoticeMs <= wall && isEmpty);
}

const askedBy = (holder: string, { session, request }: Pick<Acquire, 'session' | 'request'>) =>
  `${holder} ${session} ${request}`;

function demand(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

const byName = ([one]: readonly [string, unknown], [other]: readonly [string, unknown]) =>
  one < other ? -1 : 1;
