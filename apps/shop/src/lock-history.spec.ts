// The page's memory of its session's lock: what it makes of the answers, in whatever order they arrive.
import { expect, it } from 'vitest';
import { LockHistory } from '../public/lock-history.js';

const answer = (server: string, token: string, cost = 'change', session = 'one') => ({
  server,
  session,
  token,
  cost,
});

function historyOf(...answers: ReturnType<typeof answer>[]): LockHistory {
  const history = new LockHistory();
  for (const each of answers) history.note(each);
  return history;
}

const grantsOf = ({ chapters }: LockHistory) =>
  chapters.map(({ session, grants }) => [
    session,
    ...grants.map(({ server, token }) => `${server} ${token}`),
  ]);

it('puts grants into the order of their tokens, by epoch and then by number, when answers overtake each other', () => {
  const late = [answer('c', '2.10'), answer('a', '3.1'), answer('b', '2.9'), answer('a', '2.2')];
  const history = historyOf(...late);
  expect(grantsOf(history)).toEqual([['one', 'a 2.2', 'b 2.9', 'c 2.10', 'a 3.1']]);
  expect([history.holder?.server, history.moves]).toEqual(['a', 3]);
});

it('counts the requests of a grant, and those that needed no message, as one stay at its server', () => {
  const history = historyOf(
    answer('a', '1.1', 'grant'),
    answer('a', '1.1', 'none'),
    answer('a', '1.2', 'grant'),
  );
  expect(history.chapters[0]!.grants).toEqual([
    { token: '1.1', server: 'a', requests: 2, quiet: 1 },
    { token: '1.2', server: 'a', requests: 1, quiet: 0 },
  ]);
  expect([history.requests, history.quiet, history.moves]).toEqual([3, 1, 0]);
});

it('begins anew with the id of a login, whose tokens are others; what is late goes where it belongs', () => {
  const history = historyOf(answer('a', '1.8'), answer('b', '1.3', 'grant', 'two'), answer('c', '1.9'));
  expect(grantsOf(history)).toEqual([
    ['one', 'a 1.8', 'c 1.9'],
    ['two', 'b 1.3'],
  ]);
  expect(history.holder?.server).toBe('b');
});

it('has no holder after the end of a session, until there is a new one', () => {
  const history = historyOf(answer('a', '1.1'));
  history.end();
  history.note(answer('b', '1.2')); // was on its way when the session ended
  expect([history.current, history.holder]).toEqual([undefined, undefined]);
  history.note(answer('c', '1.1', 'grant', 'two'));
  expect(history.holder?.server).toBe('c');
});

it('counts a request of a visitor without a session, and none that needs no session', () => {
  const history = new LockHistory();
  history.note({ server: 'a', session: null, token: null, cost: 'none' });
  history.note({ server: 'a', session: null, token: null, cost: null });
  expect([history.requests, history.quiet, history.chapters]).toEqual([1, 1, []]);
});
