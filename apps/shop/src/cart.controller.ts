/**
 * The cart. `add` reads, changes and saves a session, the very thing that loses updates when two requests of
 * one customer do it at once. `@LockedSession('cart')` is all it takes: the handler has the cart to itself,
 * on every server, and answers once its change is durable. Handlers that only read say so, and run side by
 * side.
 */
import { Body, Controller, Delete, Get, HttpCode, Post } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { CurrentSession, LockedSession, SessionAttribute } from '#locked-session';
import type { Frozen, SessionHandle } from '#locked-session';
import { newItem, ValidPipe } from './bodies.js';
import type { NewItem } from './bodies.js';
import type { Cart, Item } from './session-attributes.js';

const emptyCart = (): Cart => ({ items: [] });

@Controller('cart')
export class CartController {
  @Get()
  @LockedSession({ read: ['cart'] })
  show(@SessionAttribute('cart', emptyCart) cart: Frozen<Cart>): Frozen<Cart> {
    return cart;
  }

  @Post('items')
  @LockedSession('cart')
  add(@SessionAttribute('cart', emptyCart) cart: Cart, @Body(new ValidPipe(newItem)) body: NewItem): Item {
    const item = { ...body, id: body.id ?? randomUUID() };
    cart.items.push(item);
    return item;
  }

  @Delete()
  @HttpCode(204)
  @LockedSession('cart')
  empty(@CurrentSession() session: SessionHandle): void {
    session.delete('cart');
  }
}
