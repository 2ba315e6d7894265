/** The shop as a Nest module: three controllers, and locked sessions for all of them. */
import { Module, type DynamicModule } from '@nestjs/common';
import { LockedSessionModule } from '#locked-session';
import { tellServed } from './answer-headers.js';
import { CartController } from './cart.controller.js';
import type { Settings } from './settings.js';
import { SERVER_NAME, StatsController } from './stats.controller.js';
import { VisitorController } from './visitor.controller.js';

@Module({ controllers: [CartController, StatsController, VisitorController] })
export class ShopModule {
  static forSettings(settings: Settings): DynamicModule {
    const sessions = LockedSessionModule.forRoot({
      broker: { url: settings.AMQP_URL, prefix: settings.AMQP_PREFIX },
      partitions: settings.PARTITIONS,
      queues: settings.QUEUES,
      cookie: { secrets: [settings.SESSION_SECRET] },
      onServed: tellServed,
    });
    return {
      module: ShopModule,
      imports: [sessions],
      providers: [{ provide: SERVER_NAME, useValue: settings.SERVER_NAME }],
    };
  }
}
