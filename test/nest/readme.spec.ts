/** README.md: the application that it shows does what it says, on Express and on Fastify. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { Type } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { onEachPlatform, type Start } from './application.js';

const fileOf = (path: string) => new URL(`../../${path}`, import.meta.url);
const folder = fileOf('test-artifacts/readme/');

describe('README.md', () => {
  let CartController: Type;

  beforeAll(async () => {
    const [, code] = /^```ts\n(.*?)^```$/ms.exec(await readFile(fileOf('README.md'), 'utf8'))!;
    await mkdir(folder, { recursive: true });
    const file = new URL('app.module.ts', folder);
    await writeFile(file, code!.replace("'locked-session'", "'#locked-session'"));
    // Its module is made here, too: a setting that is wrong would throw.
    ({ CartController } = (await import(file.pathname)) as { CartController: Type });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  onEachPlatform((start: Start) => {
    it('has a cart that loses nothing when requests of one client change it at once', async () => {
      const { client } = await start({ controllers: [CartController] });
      const visitor = client();
      await visitor.post('cart/items', { name: 'first' });
      const others = Array.from({ length: 20 }, (_, i) => visitor.post('cart/items', { name: `${i}` }));
      for (const { status } of await Promise.all(others)) expect(status).toBe(201);
      const { body } = await visitor.get('cart');
      expect((body as { items: object[] }).items).toHaveLength(21);
    });
  });
});
