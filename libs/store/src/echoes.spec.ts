/** The two ways of an echo. */
import { describe, expect, it } from 'vitest';
import { Echoes } from './echoes.js';

const sends = { partition: () => true, own: () => true };

describe('an echo', () => {
  it('rule 10: has come back only when it is back from both queues', () => {
    const echoes = new Echoes();
    echoes.send(1, sends);
    expect(echoes.cameBack(1, 'own')).toBe(false);
    expect(echoes.cameBack(1, 'own'), 'twice by one way').toBe(false);
    expect(echoes.cameBack(1, 'partition')).toBe(true);
    expect(echoes.cameBack(1, 'partition'), 'once').toBe(false);
  });

  it('has come back from the one queue when there is no other', () => {
    const echoes = new Echoes();
    echoes.send(1, { ...sends, own: () => false });
    expect(echoes.cameBack(1, 'partition')).toBe(true);
    echoes.send(2, { partition: () => false, own: () => false });
    expect(echoes.cameBack(2, 'partition')).toBe(false);
  });

  it('that is repeated before it has come back does not void the first one', () => {
    const echoes = new Echoes();
    echoes.send(1, sends);
    echoes.send(2, sends);
    echoes.cameBack(1, 'own');
    expect(echoes.cameBack(1, 'partition')).toBe(true);
  });

  it('is forgotten with the ownership, and when many follow', () => {
    const echoes = new Echoes();
    echoes.send(1, { ...sends, own: () => false });
    echoes.forget();
    expect(echoes.cameBack(1, 'partition')).toBe(false);
    for (let mark = 1; mark <= 17; mark++) echoes.send(mark, { ...sends, own: () => false });
    expect([1, 2].map((mark) => echoes.cameBack(mark, 'partition'))).toEqual([false, true]);
  });
});
