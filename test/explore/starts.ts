/**
 * Moves that lead to the states from which the others are found. `quiet` lets all arrive that is on its way.
 */

/** `a` has a scope inside. */
export const held = ['a visits s', 'quiet'];
/** `a` keeps the lock of a session that it has changed, and nobody is inside. */
export const idle = [...held, 'a changes s and leaves', 'quiet'];
/** `a` has a scope inside, and `b` waits. */
export const contended = [...held, 'b visits s', 'quiet'];
/** Both have had the session, and have a lease; `b` keeps it. */
export const leased = [...idle, 'b visits s', 'quiet', 'b leaves s', 'quiet'];
/** The lock has gone back and forth, and `a` has it until idle. */
export const firstTurn = [...leased, 'a visits s', 'quiet'];
/** The lock has gone back and forth, so `a` has it for a turn, and `b` waits. */
export const inTurn = [
  ...[...leased, 'a visits s', 'quiet', 'a leaves s', 'quiet', 'b visits s', 'quiet', 'b leaves s', 'quiet'],
  ...['a visits s', 'quiet', 'b visits s', 'quiet'],
];
export const nearRecallTimeout = [...contended, 'calm for 9500 ms'];
export const dying = [...contended, 'a dies', 'calm for 4500 ms'];
/** The lock was taken away from `a`, which has not heard of it. */
export const revoked = [...nearRecallTimeout, '600 ms pass', 'the store looks', 'the echo comes back'];
/** Two locks were taken away from `a`, which has not heard of it. */
export const twoRevoked = [
  ...['a visits s', 'a visits t', 'quiet', 'b visits s', 'b visits t', 'quiet', 'calm for 9500 ms'],
  ...['600 ms pass', 'the store looks', 'the echo comes back', 'a frame to a is lost'],
  ...['2500 ms pass', 'a looks'],
];
/** `a` stands still while `b` waits for what it keeps. */
export const askedBack = [
  ...idle,
  'b visits s',
  'the store reads b',
  'the store reads b',
  'calm for 4500 ms but for a',
];
/** The answer to a change is lost, and then the lock is taken away. */
export const committed = [
  ...nearRecallTimeout,
  'a commits to s',
  'the store reads a',
  'a frame to a is lost',
];
/** Another store takes over while a grant is on its way to `a`, and gives its lock to `b` a lease later. */
export const lateGrant = [
  ...['a visits s', 'the store reads a', 'a hears', 'the store reads a', 'another store takes over'],
  ...['b visits s', 'the store reads b', '5000 ms pass', 'the store reads b', 'the echo comes back'],
];
/** The same, and `a` does not hear that `b` waits. */
export const lateGrantAndRecall = [
  ...['a visits s', 'the store reads a', 'a hears', 'the store reads a', 'another store takes over'],
  ...['b visits s', 'the store reads b', 'the store reads b', 'a frame to a owner 2 of 2 is lost'],
];
/** `a` has released a change and asks again, and the change is lost with the power. */
export const released = [
  ...[...idle, 'a visits s', 'a changes s and leaves', 'the store reads a', 'a releases s', 'a visits s'],
  ...['the store reads a', 'the power fails, and 2 writes are lost'],
];
