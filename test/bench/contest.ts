/**
 * What all contestants of the benchmarks do: they keep the same session of 1 KB in four attributes, read it
 * under its lock, and change one attribute under its lock. Each contestant stands in a file of
 * `contestants/`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/processes/processes.js';
import type { Measured } from './figures.js';

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
  /** How many app servers this one process stands for, each with a lock of its own to ask for. */
  readonly holders?: number;
  /** How many sessions an app server holds. */
  readonly heldSessions?: number;
  /** The size of the text in each attribute. */
  readonly valueBytes?: number;
  /** A second store stands by. */
  readonly standby?: boolean;
}

/** One process of a contestant, an app server. `scope` is the number of the load's scope that asks. */
export interface Client {
  /** Reads one attribute under the session's lock. */
  read(session: string, scope: number): unknown;
  /**
   * Adds one to the count of an attribute and writes its owner. Resolves with the owner before when that is
   * durable.
   */
  change(session: string, scope: number): Promise<string | undefined>;
  /** Makes a session of four attributes, and changes it as `change` does. */
  create(session: string): Promise<unknown>;
  /** The count that all servers have written. */
  count(session: string): Promise<number>;
  close(): Promise<void>;
}

/** A part of a contestant that its app servers share. */
export interface Backend {
  readonly address?: string;
  /** The process that keeps the sessions. */
  readonly store?: number;
  /** The app server, where it is no process of the load. */
  readonly app?: number;
  /** Kills the store that serves. */
  disturb?(): Promise<void>;
  close(): Promise<void>;
}

/** How long a contest's load takes. */
export interface Pace {
  readonly warmUpMs: number;
  readonly ms: number;
}

/** What people must know of a contestant. */
export interface Told {
  /** Its name and version. */
  readonly what: string;
  /** What an acknowledged change survives. */
  readonly durability: string;
  /** What it does not do. */
  readonly lacks: string;
  /** Its acknowledged changes may be overwritten by others, or it keeps none. */
  readonly loses?: boolean;
  readonly needs: readonly ServerKind[];
}

export interface Contestant extends Told {
  /** Starts what its app servers share, in processes of their own. */
  start?(place: Place): Promise<Backend>;
  open(place: Place): Promise<Client>;
}

/** A contestant with a load of its own. */
export interface Program extends Told {
  measure(place: Place, pace: Pace): Promise<Measured>;
}

/** What an acknowledged change survives, in the same words for all. */
export const durabilities = {
  nothing: 'nothing is kept',
  memory: 'nothing: it is in memory',
  killedStore: 'a killed store (durability `process`)',
  redis: 'a killed Redis (append-only file, forced to disk once a second)',
  postgres: 'a killed PostgreSQL (fsync off)',
} as const;

export interface Attribute {
  readonly count: number;
  readonly owner: string | undefined;
  readonly filler: string;
}

/** The attribute that is read and changed. The others stay as they are. */
export const changed = 'cart';
export const attributeNames = [changed, 'user', 'seen', 'notes'] as const;

const defaultValueBytes = 220;

export const firstAttribute = ({ valueBytes = defaultValueBytes }: ContestSettings = {}): Attribute => ({
  count: 0,
  owner: undefined,
  filler: 'x'.repeat(valueBytes),
});

export const changedBy = (attribute: Attribute, owner: string): Attribute => ({
  ...attribute,
  count: attribute.count + 1,
  owner,
});

/** A whole session, for contestants that keep it as one value. */
export type WholeSession = Record<string, Attribute>;

export const firstSession = (settings: ContestSettings = {}): WholeSession =>
  Object.fromEntries(attributeNames.map((name) => [name, firstAttribute(settings)]));

/** The version of a package that is installed here. */
export function versionOf(name: string): string {
  const text = readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
