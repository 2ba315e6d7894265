/**
 * The order of things: tokens, versions and time, as plain values that compare.
 *
 * Rule 1: a token is (epoch, n): the owner's epoch of the partition and a count of grants within it. So it grows for
 * ever, across restarts, takeovers and destroy, with no counter of its own.
 */

/** A fencing token: grows with every grant of a partition; the store refuses what bears an old one. */
export type Token = readonly [epoch: number, n: number];

/** The version of a session: the token and seq of its last change. */
export type Version = readonly [epoch: number, n: number, seq: number];

/** A moment: `mono` in milliseconds of a clock that only runs forward, `wall` in milliseconds since 1970. */
export interface Now {
  readonly mono: number;
  readonly wall: number;
}

/** Negative when `a` is older than `b`, 0 when they are the same, positive when it is newer. */
export function compareTokens(a: Token, b: Token): number {
  return a[0] - b[0] || a[1] - b[1];
}

export function sameToken(a: Token, b: Token): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

/** Negative when `a` is older than `b`, 0 when they are the same, positive when it is newer. */
export function compareVersions(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}
