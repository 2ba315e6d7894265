/**
 * Tokens, versions and moments, as plain values with an order.
 *
 * Rule 1: a token is (epoch, n). The epoch is the owner's epoch of the partition. n counts the grants within
 * it. So tokens grow across restarts, takeovers and destroy, without a counter of their own.
 */

/**
 * A fencing token. It grows with each grant of a partition. The store refuses a change that bears an old one.
 */
export type Token = readonly [epoch: number, n: number];

/** The version of a session: the token and seq of its last change. */
export type Version = readonly [epoch: number, n: number, seq: number];

/**
 * A moment by two clocks. `mono` is in milliseconds and never goes back. `wall` is in milliseconds since
 * 1970.
 */
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
