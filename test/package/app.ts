/**
 * A user's application on the packed package. test/package/main.ts transpiles it into a fresh folder, as an
 * ES module or as a CommonJS one, installs Nest beside it and runs it. It changes one cart by 20 requests at
 * once, and prints the cart.
 */
import 'reflect-metadata';
import { Body, Controller, Get, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockedSession, SessionAttribute } from '#locked-session';
import { EmbeddedLockedSessionModule } from '#embedded';

interface Cart {
  items: string[];
}

@Controller('cart')
class CartController {
  @Post()
  @LockedSession('cart')
  async add(
    @SessionAttribute('cart' as never, (() => ({ items: [] })) as never) cart: Cart,
    @Body() { item }: { item: string },
  ) {
    const { length } = cart.items;
    await new Promise((resolve) => setImmediate(resolve));
    cart.items[length] = item;
  }

  @Get()
  @LockedSession({ read: ['cart'] })
  show(@SessionAttribute('cart' as never, (() => ({ items: [] })) as never) cart: Cart) {
    return cart.items.length;
  }
}

@Module({
  imports: [EmbeddedLockedSessionModule.forRoot({ cookie: { secrets: ['a secret of some length'] } })],
  controllers: [CartController],
})
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
  await app.listen(0, '127.0.0.1');
  const url = `${await app.getUrl()}/cart`;
  const post = async (item: string, cookie = '') => {
    const headers = { 'content-type': 'application/json', cookie };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ item }) });
    if (response.status !== 201) throw new Error(`status ${response.status}: ${await response.text()}`);
    return response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
  };
  const cookie = await post('first');
  await Promise.all(Array.from({ length: 20 }, (_, i) => post(`item ${i}`, cookie)));
  const shown = await fetch(url, { headers: { cookie } });
  console.log(`the cart has ${await shown.text()} items`);
  await app.close();
}

void main();
