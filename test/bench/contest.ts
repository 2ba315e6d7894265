/**
 * What all contestants of the benchmarks do: they keep the same session of 1 KB in four attributes, read it
 * under its lock, and change one attribute under its lock. Each contestant stands in a file of
 * `contestants/`.
 */

/** Where the servers are that contestants use. */
export interface Servers {
  readonly amqp: string;
  readonly redis: string;
  readonly postgres: string;
}

export type ServerKind = keyof Servers;

/** What one process of a contestant is told. */
export interface Place {
  readonly servers: Servers;
  /** Names everything that this contest makes in a server. */
  readonly name: string;
  /** What the names of this round's sessions begin with: no round meets the sessions of another. */
  readonly sessions: string;
  /** Which of the contest's app servers this process is, from 0. */
  readonly member: number;
  readonly settings: ContestSettings;
  /** Where the contestant's own backend listens, if it says so. */
  readonly address?: string | undefined;
}

export interface ContestSettings {
  readonly partitions?: number;
  /** The lock is given back when no scope needs it. */
  readonly untilIdle?: boolean;
}

/** One process of a contestant, an app server. */
export interface Client {
  /** Reads one attribute under the session's lock. */
  read(session: string): unknown;
  /**
   * Adds one to the count of an attribute and writes its owner. Resolves with the owner before when that is
   * durable.
   */
  change(session: string): Promise<string | undefined>;
  /** Makes a session of four attributes, and changes it as `change` does. */
  create(session: string): Promise<unknown>;
  /** The count that all servers have written. */
  count(session: string): Promise<number>;
  close(): Promise<void>;
}

/** A part of a contestant that its app servers share. */
export interface Backend {
  readonly address?: string;
  close(): Promise<void>;
}

export interface Contestant {
  /** Its name and version, its durability, and what it does not do. */
  readonly what: string;
  readonly needs: readonly ServerKind[];
  /** Starts what its app servers share, in processes of their own. */
  start?(place: Place): Promise<Backend>;
  open(place: Place): Promise<Client>;
}

export interface Attribute {
  readonly count: number;
  readonly owner: string | undefined;
  readonly filler: string;
}

/** The attribute that is read and changed. The others stay as they are. */
export const changed = 'cart';
export const attributeNames = [changed, 'user', 'seen', 'notes'] as const;

const filler = 'x'.repeat(220);

export const firstAttribute: Attribute = { count: 0, owner: undefined, filler };

export const changedBy = (attribute: Attribute, owner: string): Attribute => ({
  ...attribute,
  count: attribute.count + 1,
  owner,
});

/** A whole session, for contestants that keep it as one value. */
export type WholeSession = Record<string, Attribute>;

export const firstSession = (): WholeSession =>
  Object.fromEntries(attributeNames.map((name) => [name, firstAttribute]));
