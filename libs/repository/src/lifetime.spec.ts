/** The life of a repository: what is refused when, and what `close` waits for. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Lifetime } from './lifetime.js';
import { RepositoryError } from './repository.js';

let lifetime: Lifetime;
let order: string[];
beforeEach(() => {
  lifetime = new Lifetime('the place');
  order = [];
});

const nothing = async () => {};
const open = () => lifetime.open(nothing);
const close = () =>
  lifetime.close(
    async () => void order.push('finish'),
    async () => void order.push('release'),
  );

describe('a repository', () => {
  it('is used while it is open, and not before or after', async () => {
    expect(() => lifetime.expectOpen()).toThrow('the place is not open');
    await open();
    lifetime.expectOpen();
    await close();
    expect(() => lifetime.expectOpen()).toThrow(RepositoryError);
  });

  it('is opened once, and again after its close', async () => {
    const opening = open();
    await expect(open()).rejects.toThrow('the place is open already');
    await opening;
    await expect(open()).rejects.toThrow('the place is open already');
    await close();
    await open();
  });

  it('that could not be opened can be opened again', async () => {
    const failure = new RepositoryError('no disk');
    await expect(lifetime.open(() => Promise.reject(failure))).rejects.toBe(failure);
    await open();
  });
});

describe('close', () => {
  it('finishes the writes, waits for the reads, and then gives back', async () => {
    await open();
    let end = () => {};
    const read = new Promise<void>((resolve) => (end = resolve)).then(() => order.push('read'));
    void lifetime.reading(read);
    void lifetime.reading(Promise.reject(new Error('a read that fails'))).catch(() => order.push('failed'));
    const closed = close();
    await new Promise(setImmediate);
    expect(order).toEqual(['finish', 'failed']);
    expect(() => lifetime.expectOpen()).toThrow('not open');
    end();
    await closed;
    expect(order).toEqual(['finish', 'failed', 'read', 'release']);
  });

  it('gives back when the writes fail, too', async () => {
    await open();
    const failed = lifetime.close(
      () => Promise.reject(new Error('disk full')),
      async () => void order.push('release'),
    );
    await expect(failed).rejects.toThrow('disk full');
    expect(order).toEqual(['release']);
    await open();
  });

  it('does nothing when it is not open', async () => {
    await close();
    expect(order).toEqual([]);
  });

  it('ends an opening that is under way, which says so', async () => {
    const until = (signal: AbortSignal) =>
      new Promise<void>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')));
      });
    const opening = lifetime.open(until).catch((error: unknown) => error);
    await close();
    expect(await opening).toEqual(new RepositoryError('the place was closed before it was open'));
    expect(order).toEqual([]);
    await open();
  });

  it('closes what an opening has opened all the same', async () => {
    let end = () => {};
    const opening = lifetime.open(() => new Promise<void>((resolve) => (end = resolve)));
    const closed = close();
    end();
    await Promise.all([opening, closed]);
    expect(order).toEqual(['finish', 'release']);
  });
});
