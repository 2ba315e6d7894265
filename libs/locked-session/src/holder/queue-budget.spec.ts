/** The limits on queues of sessions: what one process makes. */
import { expect, it } from 'vitest';
import { QueueBudget } from './queue-budget.js';

const settings = { sessionQueuesPerSecond: 2, sessionQueues: 3, sessionQueueExpiresMs: 60_000 };

it('makes so many queues at once as may be made in a second, and then one whenever its time has passed', () => {
  const budget = new QueueBudget(settings);
  expect(budget.refuses('a', 0)).toBeUndefined();
  expect(budget.refuses('b', 0)).toBeUndefined();
  expect(budget.refuses('c', 0)).toMatch(/2 new ones a second .*sessionQueuesPerSecond/);
  expect(budget.refuses('c', 499)).toMatch(/sessionQueuesPerSecond/);
  expect(budget.refuses('c', 500)).toBeUndefined();
});

it('a queue that is there may be used as often as it is needed', () => {
  const budget = new QueueBudget(settings);
  for (let mono = 0; mono < 100; mono++) expect(budget.refuses('a', mono)).toBeUndefined();
});

it('uses so many queues in all, until RabbitMQ has removed one that was idle', () => {
  const budget = new QueueBudget(settings);
  for (const [at, session] of ['a', 'b', 'c'].entries())
    expect(budget.refuses(session, at * 1_000)).toBeUndefined();
  expect(budget.refuses('d', 10_000)).toMatch(/uses 3 of them at most .*sessionQueues/);
  expect(budget.refuses('a', 20_000)).toBeUndefined(); // used again, and kept for longer
  expect(budget.refuses('d', 60_999)).toMatch(/sessionQueues/);
  expect(budget.refuses('d', 61_000)).toBeUndefined(); // b has gone
  expect(budget.refuses('b', 62_000)).toBeUndefined(); // c has gone
  expect(budget.refuses('c', 62_000)).toMatch(/sessionQueues/); // a, d and b are there
});
