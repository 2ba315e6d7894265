/**
 * What one save did to changes that it had not read. It is a comparison of three states of a session: as it
 * was read, as it is in the store just before the save, and as it is to be saved.
 */

/** The canonical JSON of each key of a session at one moment. The order of keys does not show in it. */
export type Snapshot = ReadonlyMap<string, string>;

/**
 * - `lost`: the save put another value over a change that it had not read.
 * - `same`: it had not read a change, and made the same change. Two increments look so, and so does a repeat.
 * - `revived`: it brought a session back that was destroyed, or had expired, since it was read.
 */
export type VerdictKind = 'clean' | 'lost' | 'same' | 'revived';

export interface Verdict {
  readonly kind: VerdictKind;
  /** Those whose change it had not read, where it is `lost` or `same`. */
  readonly keys: readonly string[];
}

/** A session that was not there is undefined. */
export interface Save {
  readonly base: Snapshot | undefined;
  readonly current: Snapshot | undefined;
  readonly next: Snapshot;
  /** Keys whose value is one object in the store and in what is saved. Nobody can overwrite its changes. */
  readonly shared?: ReadonlySet<string>;
}

/** Never more than what is sure: a change that `next` has, too, is not `lost`. */
export function judge({ base, current, next, shared }: Save): Verdict {
  if (!current) return { kind: base ? 'revived' : 'clean', keys: [] };
  const unread = [...new Set([...(base?.keys() ?? []), ...current.keys()])].filter(
    (key) => base?.get(key) !== current.get(key) && !shared?.has(key),
  );
  if (unread.length === 0) return { kind: 'clean', keys: unread };
  const isLost = unread.some((key) => next.get(key) !== current.get(key));
  return { kind: isLost ? 'lost' : 'same', keys: unread };
}

/**
 * A session as JSON keeps it, without the keys that do not count. What is no object has no keys. Throws what
 * `JSON.stringify` throws.
 */
export function snapshot(session: unknown, ignored: ReadonlySet<string>): Snapshot {
  if (typeof session !== 'object' || session === null) return new Map();
  const plain: unknown = JSON.parse(JSON.stringify(session));
  if (typeof plain !== 'object' || plain === null) return new Map(); // by a `toJSON` of its own
  return new Map(
    Object.entries(plain)
      .filter(([key]) => !ignored.has(key))
      .map(([key, value]) => [key, JSON.stringify(sorted(value))]),
  );
}

/** A store in memory may give the objects themselves that were saved. */
export function sharedKeys(record: object, session: object): ReadonlySet<string> {
  const values = session as Readonly<Record<string, unknown>>;
  const isShared = ([key, value]: readonly [string, unknown]) =>
    record === session || (typeof value === 'object' && value !== null && value === values[key]);
  return new Set(
    Object.entries(record)
      .filter(isShared)
      .map(([key]) => key),
  );
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  // Entries and not an object: no order of keys that look like numbers, and no meaning of `__proto__`.
  return {
    entries: Object.entries(value)
      .sort(byKey)
      .map(([key, inner]) => [key, sorted(inner)]),
  };
}

const byKey = ([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number =>
  one < other ? -1 : 1;
