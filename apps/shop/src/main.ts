/**
 * The shop: an example app server, of which any number may run side by side behind any load balancer.
 * Whichever of them a customer's requests reach, the cart is one cart and no addition is lost. Start reading
 * at cart.controller.ts.
 */
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NextFunction, Request, Response } from 'express';
import { fileURLToPath } from 'node:url';
import { readSettings } from './settings.js';
import { ShopModule } from './shop.module.js';

// From where the compiled program runs, dist/apps/shop/src: the page is not compiled and stays in place.
const page = fileURLToPath(new URL('../../../../apps/shop/public', import.meta.url));

const settings = readSettings(process.env);
const app = await NestFactory.create<NestExpressApplication>(ShopModule.forSettings(settings));

app.disable('x-powered-by');
app.use((_request: Request, response: Response, next: NextFunction) => {
  response.setHeader('x-served-by', settings.SERVER_NAME);
  next();
});
app.useStaticAssets(page, {
  // Names of items and visitors are text and never markup; should one slip through, it still runs nothing.
  setHeaders: (response: Response) =>
    response.setHeader('content-security-policy', "default-src 'self'; img-src 'self' data:"),
});
app.enableShutdownHooks(); // SIGTERM and SIGINT: finish what runs, give the held sessions back, go

await app.listen(settings.PORT, '127.0.0.1');
console.log(`listening on ${await app.getUrl()}`);
