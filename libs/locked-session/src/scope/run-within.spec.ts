/** The asynchronous context of a scope: what runs within it finds it, and nothing else loses its own. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { runWithin } from './run-within.js';

const storage = new AsyncLocalStorage<string>();
const foreign = new AsyncLocalStorage<string>();

it('what a body begins finds its store, and what comes after it does not', async () => {
  const later = runWithin(storage, 'a', async (store) => {
    await setImmediate();
    return [store, storage.getStore()];
  });
  expect(storage.getStore()).toBeUndefined();
  expect(await later).toEqual(['a', 'a']);
  expect(storage.getStore()).toBeUndefined();
});

it('the inner of two bodies finds its own store, and the outer one has its own again', () => {
  const seen = runWithin(storage, 'outer', () => [
    runWithin(storage, 'inner', () => storage.getStore()),
    storage.getStore(),
  ]);
  expect(seen).toEqual(['inner', 'outer']);
});

it('a storage of the application is the same inside and afterwards', () => {
  foreign.run('its own', () => {
    expect(runWithin(storage, 'a', () => foreign.getStore())).toBe('its own');
    expect(foreign.getStore()).toBe('its own');
  });
});

it('the context is left also when the body throws', () => {
  const fails = () =>
    runWithin(storage, 'a', () => {
      throw new Error('deliberate');
    });
  expect(fails).toThrow('deliberate');
  expect(storage.getStore()).toBeUndefined();
});
