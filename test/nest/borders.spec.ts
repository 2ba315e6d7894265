/**
 * The application's objects stay its own: constants, objects in a session, and objects that cannot be stored.
 * The locks are given back in each case.
 */
import { BadRequestException, Controller, Get, Inject, Post, Req, UseInterceptors } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { map } from 'rxjs';
import { expect, it } from 'vitest';
import {
  CurrentSession,
  LockedAttributes,
  LockedSession,
  LockedSessions,
  SessionAttribute,
} from '#locked-session';
import { cart, onEachPlatform, type Loose } from './application.js';

interface Basket {
  items: { name: string; stock: number }[];
}

const EMPTY: Basket = { items: [] };
const catalogue = [{ name: 'tea', stock: 3 }];
const constant = (() => EMPTY) as never;

class Stamp implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(
      map((value: { cart: Basket }) => {
        value.cart.items.push({ name: 'stamp', stock: 0 });
        return value;
      }),
    );
  }
}

/** A service with a nested scope that continues after its caller has failed. */
class Stats {
  goOn!: () => void;
  readonly may = new Promise<void>((resolve) => (this.goOn = resolve));
  ended: Promise<unknown> | undefined;

  touch(session: Loose): Promise<void> {
    const touching = this.locked(session);
    this.ended = touching.catch((error: unknown) => error);
    return touching;
  }

  @LockedAttributes('cart')
  private async locked(session: Loose): Promise<void> {
    session.get('cart');
    await this.may;
  }
}

@Controller('border')
class BorderController {
  private readonly stats = new Stats();
  constructor(@Inject(LockedSessions) private readonly sessions: LockedSessions) {}

  @Post('push')
  @LockedSession(cart)
  push(@SessionAttribute(cart, constant) basket: Basket) {
    basket.items.push(catalogue[0]!);
    return basket.items.length;
  }

  @Get('read')
  @LockedSession({ read: ['cart'] })
  read(@SessionAttribute(cart, constant) basket: Basket) {
    return { items: basket.items, isTheConstant: basket === EMPTY };
  }

  @Post('sell')
  sell() {
    return --catalogue[0]!.stock;
  }

  @Post('set')
  @LockedSession()
  set(@CurrentSession() session: Loose) {
    const mine = { list: [1] };
    session.set('a', mine);
    mine.list.push(2);
    const seen = session.get('a') as typeof mine;
    session.set('b', seen);
    (session.draft('b', () => undefined) as typeof mine).list.push(3);
    return { a: session.get('a'), b: session.get('b'), isFrozen: Object.isFrozen(seen.list) };
  }

  @Post('request')
  @LockedSession(cart)
  request(@SessionAttribute(cart, constant) basket: Record<string, unknown>, @Req() request: object) {
    basket['request'] = request;
  }

  @Post('me')
  @LockedSession(cart)
  me(@SessionAttribute(cart, constant) basket: Record<string, unknown>) {
    basket['me'] = this;
  }

  @Post('getter')
  @LockedSession(cart)
  getter(@SessionAttribute(cart, constant) basket: object) {
    Object.defineProperty(basket, 'trap', {
      enumerable: true,
      get() {
        throw new Error('a trap of the application');
      },
    });
  }

  @Post('proxy')
  @LockedSession(cart)
  proxy(@SessionAttribute(cart, constant) basket: Record<string, unknown>) {
    basket['trap'] = new Proxy(
      {},
      {
        getOwnPropertyDescriptor() {
          throw new Error('a trap of the application');
        },
        ownKeys: () => ['x'],
      },
    );
  }

  @Get('stamped')
  @UseInterceptors(Stamp)
  @LockedSession({ read: ['cart'] })
  stamped(@CurrentSession() session: Loose) {
    return { cart: session.get('cart') };
  }

  /** Returns its draft itself. */
  @Post('stamped')
  @UseInterceptors(Stamp)
  @LockedSession(cart)
  stampedDraft(@SessionAttribute(cart, constant) basket: Basket) {
    basket.items.push({ name: 'milk', stock: 1 });
    return { cart: basket };
  }

  @Post('outlived')
  @LockedSession(cart)
  async outlived(@SessionAttribute(cart, constant) basket: Basket, @CurrentSession() session: Loose) {
    basket.items.push({ name: 'of a failed handler', stock: 1 });
    await Promise.all([
      this.stats.touch(session),
      Promise.reject(new BadRequestException('the card is refused')),
    ]);
  }

  @Post('end-outlived')
  async endOutlived() {
    this.stats.goOn();
    const error = await this.stats.ended;
    return { code: (error as { code?: string }).code };
  }

  @Get('held')
  held() {
    return this.sessions.counters();
  }
}

onEachPlatform((start) => {
  const application = async () => {
    const { client, errors } = await start({ controllers: [BorderController], holdPolicy: 'until-idle' });
    const held = async () => ((await client().get('border/held')).body as { held: number }).held;
    return { client, errors, held };
  };

  it("one visitor's changes are not seen by another, though all begin with one constant", async () => {
    const { client } = await application();
    const [a, b] = [client(), client()];
    expect((await a.post('border/push')).body).toBe(1);
    expect((await b.get('border/read')).body).toEqual({ items: [], isTheConstant: false });
    expect((await b.post('border/push')).body).toBe(1);
    expect((await a.post('border/push')).body).toBe(2);
    expect(EMPTY).toEqual({ items: [] });
  });

  it("the end of a scope leaves the application's objects as they are", async () => {
    const { client } = await application();
    const visitor = client();
    await visitor.post('border/push');
    const { stock } = catalogue[0]!;
    expect((await visitor.post('border/sell')).body).toBe(stock - 1);
    const { items } = (await visitor.get('border/read')).body as Basket;
    expect(items).toEqual([{ name: 'tea', stock }]);
  });

  it('what is set is copied, what is read after it is frozen, and a draft of it is another copy', async () => {
    const { client } = await application();
    expect((await client().post('border/set')).body).toEqual({
      a: { list: [1] },
      b: { list: [1, 3] },
      isFrozen: true,
    });
  });

  it.each(['request', 'me', 'getter', 'proxy'])(
    'a value that cannot be kept is refused and left alone: %s; the lock is given back',
    async (route) => {
      const { client, errors, held } = await application();
      const visitor = client();
      await visitor.post('border/push');
      for (let i = 0; i < 3; i++) expect((await visitor.post(`border/${route}`)).status).toBe(500);
      expect(errors.join()).toContain("attribute 'cart'");
      expect(errors.join()).not.toContain('not extensible');
      expect(await visitor.post('border/push')).toMatchObject({ status: 201, body: 2 });
      await expect.poll(held).toBe(0);
    },
  );

  it('an interceptor around may change what the handler returned', async () => {
    const { client } = await application();
    const visitor = client();
    await visitor.post('border/push');
    const stamped = (await visitor.get('border/stamped')).body as { cart: Basket };
    expect(stamped.cart.items.map(({ name }) => name)).toEqual(['tea', 'stamp']);
    expect(((await visitor.get('border/read')).body as Basket).items).toHaveLength(1);
  });

  it('an interceptor around may change a draft that the handler returned: it is a copy by then', async () => {
    const { client } = await application();
    const visitor = client();
    const stamped = (await visitor.post('border/stamped')).body as { cart: Basket };
    expect(stamped.cart.items.map(({ name }) => name)).toEqual(['milk', 'stamp']);
    expect(((await visitor.get('border/read')).body as Basket).items).toEqual([{ name: 'milk', stock: 1 }]);
  });

  it('rule 18: a handler that fails has changed nothing, though a nested scope outlives it', async () => {
    const { client, held } = await application();
    const visitor = client();
    await visitor.post('border/push');
    expect((await visitor.post('border/outlived')).status).toBe(400);
    expect((await client().post('border/end-outlived')).body).toEqual({ code: 'scope-ended' });
    const { items } = (await visitor.get('border/read')).body as Basket;
    expect(items).toHaveLength(1);
    await expect.poll(held).toBe(0);
  });
});
