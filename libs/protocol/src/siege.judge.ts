/**
 * For specs: what may come of one message to a store, told by the message, by what was on disk before, and by nothing else: who has no current token
 * changes nothing, tokens and versions only grow, data goes only to whom it is granted, and what is kept in memory has bounds.
 */
import { decodeHead } from './record.js';
import type { GrantRecord, SessionRecord } from './record.js';
import { decodeAttribute } from './record.js';
import type { HolderMessage, StoreMessage } from './messages.js';
import { compareTokens, compareVersions, sameToken, type Now, type Token, type Version } from './order.js';
import { asText } from './words.harness.js';
import type { StoreRules } from './partition-desk.js';
import type { PartitionMachine } from './partition-machine.js';

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

/** What of the machine the judge looks into, for its bounds. */
interface Inside {
  readonly sessions: { readonly sessions: ReadonlyMap<string, { readonly bytes: number }> };
  readonly watched: ReadonlySet<unknown>;
  readonly waiting: { readonly lines: ReadonlyMap<unknown, readonly unknown[]> };
  readonly outputs: {
    readonly changed: ReadonlySet<unknown>;
    readonly messages: ReadonlyMap<string, unknown>;
    readonly settled: readonly number[];
    readonly open: ReadonlyMap<number, number>;
  };
}
const entryBytes = 600;

export class Judge {
  private readonly tokens = new Map<string, Token>();
  private readonly versions = new Map<string, Version>();
  /** By token: whose it is, and through which seq it was applied. */
  private readonly applied = new Map<string, { holder: string; seq: number }>();
  private readonly queues = new Map<string, Set<string>>();

  constructor(
    private readonly rules: StoreRules,
    private readonly isHonest: (holder: string) => boolean,
  ) {}

  read(stored: StoredRow | undefined): Row | undefined {
    if (!stored) return undefined;
    const texts = [...stored.attributes].map(([name, row]) => [name, decodeAttribute(row).bytes] as const);
    return { head: decodeHead(stored.head), attributes: asText(texts) };
  }

  judge(before: Rows, after: Rows, by: Said | undefined, sent: readonly Sent[], now: Now): void {
    if (by) this.queues.set(by.who, (this.queues.get(by.who) ?? new Set()).add(by.queue));
    for (const id of new Set([...before.keys(), ...after.keys()])) {
      if (before.get(id) === after.get(id)) continue;
      const [was, is] = [this.read(before.get(id)), this.read(after.get(id))];
      const own = by && 'session' in by.message && by.message.session === id ? by : undefined;
      this.reach(id, was, is, by, own);
      if (is) this.grows(id, is);
      if (is) this.data(id, was, is, own);
      else demand(wasDue(was!, this.rules, now), `${id} is removed before its time`);
      demand(was?.head.destroyed === undefined || !is?.head.grant, `${id} is destroyed, and granted`);
      if (was?.head.grant) this.handover(id, was.head.grant, is?.head.grant, by);
    }
    for (const { queue, message } of sent) this.answer(queue, message, after, by);
  }

  /** Whether the machine's memory keeps within its bounds; `evicted`: nothing is there that could be loaded again. */
  memory(store: PartitionMachine, unsettled: number, evicted = true): void {
    const { waiting, contended, sessions, queues, bytes } = store.snapshot();
    const inside = store as unknown as Inside;
    const lines = [...inside.waiting.lines.values()].map(({ length }) => length);
    demand(waiting === lines.reduce((sum, length) => sum + length, 0), 'waiters are counted wrongly');
    demand(waiting <= this.rules.waitersPerPartition, `${waiting} wait`);
    demand(
      lines.every((length) => length > 0 && length <= this.rules.waitersPerSession),
      `${lines.join()} wait`,
    );
    demand(queues <= this.rules.waitersPerPartition, `${queues} queues are open`);
    const kept = waiting + queues;
    demand(unsettled === kept, `${unsettled} frames are kept for ${waiting} waiters and ${queues} queues`);
    const { changed, messages, settled, open } = inside.outputs;
    demand(changed.size + messages.size + settled.length === 0, 'outputs are left after a flush');
    demand(
      open.size === kept,
      `${open.size} deliveries are open for ${waiting} waiters and ${queues} queues`,
    );
    const inMemory = [...inside.sessions.sessions.values()];
    const counted = inMemory.reduce((sum, one) => sum + entryBytes + one.bytes, 0);
    demand(bytes === counted, `${bytes} bytes are said to be in memory, not ${counted}`);
    const needed = contended + inside.watched.size;
    if (evicted) demand(sessions <= needed, `${sessions} sessions are in memory, and ${needed} needed`);
  }

  /** Nobody reaches a session that he does not name; and by a renewal, nobody more than the time of his own. */
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

  /** The attributes are those from before, with the change of whoever has the current token and the next seq. */
  private data(id: string, was: Row | undefined, is: Row, own: Said | undefined): void {
    const message = own?.message;
    let expected = was?.attributes ?? {};
    const isChange = message?.kind === 'commit' || message?.kind === 'release' || message?.kind === 'destroy';
    if (isChange && was && mayChange(was.head.grant, own!.who, message))
      expected = changed(expected, message);
    if (message?.kind === 'acquire' && !was) expected = asText(message.create ?? []);
    const [a, b] = [expected, is.attributes].map((one) => JSON.stringify(Object.entries(one).sort(byName)));
    demand(a === b, `${own?.who ?? 'time'}: ${message?.kind} makes ${b} of ${id}, not ${a}`);
  }

  /** A lock that somebody honest holds goes to another only by its own word. */
  private handover(id: string, was: GrantRecord, is: GrantRecord | undefined, by: Said | undefined): void {
    const same = is !== undefined && sameToken(was.token, is.token);
    if (same) demand(!was.revoked || is.revoked, `${was.token.join('.')} of ${id} is not revoked any more`);
    if (same && is.revoked === was.revoked) return;
    const willing = by?.who === was.holder && !(same && is.revoked);
    demand(willing || !this.isHonest(was.holder), `${was.holder} loses ${id} by ${by?.who ?? 'time'}`);
  }

  /** Answers go to whom they are meant for, and are true. */
  private answer(queue: string, message: StoreMessage, after: Rows, by: Said | undefined): void {
    const owns = (holder: string) => this.queues.get(holder)?.has(queue) === true;
    const id = 'session' in message ? message.session : '';
    const grant = this.read(after.get(id))?.head.grant;
    if (message.kind === 'grant') {
      demand(!!grant && sameToken(grant.token, message.token), `a grant of ${id} that is not on disk`);
      demand(!grant!.revoked && owns(grant!.holder), `${queue} is granted ${id} of ${grant!.holder}`);
      demand(grant!.request === message.request, `a grant of ${id} for another request`);
    } else if (message.kind === 'committed') {
      const applied = this.applied.get(message.token.join());
      demand(applied?.holder === by?.who && applied!.seq >= message.seq, `${id} is not committed`);
    } else if (message.kind === 'renewed') {
      const isIts = ([session, token]: readonly [string, Token], revoked: boolean) => {
        const found = this.read(after.get(session))?.head.grant;
        return found?.holder === by?.who && sameToken(found!.token, token) && found!.revoked === revoked;
      };
      const { valid = [], recalled, revoked } = message;
      demand(
        [...valid, ...recalled].every((one) => isIts(one, false)),
        `${by?.who} is told of others`,
      );
      demand(
        revoked.every((one) => isIts(one, true)),
        `${by?.who} is told of what is not revoked`,
      );
    }
  }
}

function mayChange(grant: GrantRecord | undefined, who: string, { kind, token, seq }: Change): boolean {
  if (!grant || grant.holder !== who || grant.revoked || !sameToken(grant.token, token)) return false;
  return seq === grant.seq + 1 && kind !== undefined;
}

function changed(attributes: Record<string, string>, message: Change): Record<string, string> {
  if (message.kind === 'destroy') return {};
  const kept = Object.entries(attributes).filter(([name]) => !message.delete.includes(name));
  return { ...Object.fromEntries(kept), ...asText(message.set) };
}

function wasDue({ head: { destroyed, touched } }: Row, { ttlMs }: StoreRules, { wall }: Now): boolean {
  return (destroyed ?? touched + ttlMs) <= wall;
}

function demand(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

const byName = ([one]: readonly [string, unknown], [other]: readonly [string, unknown]) =>
  one < other ? -1 : 1;
