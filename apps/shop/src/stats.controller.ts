/** The figures of the one server that answers, for the page and for the demo. It needs no session. */
import { Controller, Get, Header, Inject } from '@nestjs/common';
import { LockedSessions } from '#locked-session';

/** Injects the name under which this server answers. */
export const SERVER_NAME = Symbol('SERVER_NAME');

@Controller('stats')
export class StatsController {
  constructor(
    @Inject(SERVER_NAME) private readonly server: string,
    private readonly sessions: LockedSessions,
  ) {}

  @Get()
  @Header('cache-control', 'no-store')
  show() {
    return { server: this.server, counters: this.sessions.counters() };
  }
}
