/** The page that shows it all, and the figures of the one server that answers. Neither needs a session. */
import { Controller, Get, Header, Inject } from '@nestjs/common';
import { readFile } from 'node:fs/promises';
import { LockedSessions } from '#locked-session';

/** Injects the name under which this server answers. */
export const SERVER_NAME = Symbol('SERVER_NAME');

// From where the compiled controller runs, dist/apps/shop/src: the page itself is not compiled and stays in place.
const page = new URL('../../../../apps/shop/public/index.html', import.meta.url);

@Controller()
export class PageController {
  constructor(
    @Inject(SERVER_NAME) private readonly server: string,
    private readonly sessions: LockedSessions,
  ) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('cache-control', 'no-cache')
  page(): Promise<string> {
    return readFile(page, 'utf8');
  }

  @Get('stats')
  @Header('cache-control', 'no-store')
  stats() {
    return { server: this.server, counters: this.sessions.counters() };
  }
}
