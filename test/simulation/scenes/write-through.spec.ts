/** Rule 11: write-through gives results only when their changes are durable. */
import { describe, expect, it } from 'vitest';
import { add, addDurably, readPatiently, scene } from './scene.js';

describe('rule 11: write-through', () => {
  it('keeps every change whose result was given when the process is killed', async () => {
    const { deployment, one, two, until } = await scene();
    await until(addDurably(one, 'first'));
    await until(add(one, 'acknowledged'));
    deployment.kill('one');
    expect(await until(readPatiently(two))).toEqual(['first', 'acknowledged']);
  });
});
