/** The system's clock: when a turn of the event loop runs what it is given. */
import { describe, expect, it } from 'vitest';
import { systemClock } from './clock.js';

/** Waits for promises in a row, and notes the end. */
async function promises(order: string[]): Promise<void> {
  for (let i = 0; i < 3; i++) await Promise.resolve();
  order.push('promises');
}

describe('a task after promises', () => {
  const { afterPromises, soon } = systemClock;

  const begins = {
    'a turn of the loop': (begin: () => void) => void setImmediate(begin),
    "a promise's handler": (begin: () => void) => void Promise.resolve().then(begin),
    'a tick': (begin: () => void) => void process.nextTick(begin),
  };

  it.each(Object.entries(begins))(
    'runs behind the promises of this turn and before the next turn, when it comes from %s',
    async (_, beginIn) => {
      const order: string[] = [];
      await new Promise<void>((resolve) =>
        beginIn(() => {
          soon(() => {
            order.push('next turn');
            resolve();
          });
          afterPromises(() => void order.push('task'));
          void promises(order);
        }),
      );
      expect(order).toEqual(['promises', 'task', 'next turn']);
    },
  );
});
