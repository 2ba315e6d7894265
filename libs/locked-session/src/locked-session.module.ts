/** The module that app servers import: gives them `LockedSessions` and what the decorators need. */
import {
  ConfigurableModuleBuilder,
  Inject,
  Logger,
  Module,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type Provider,
} from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { AmqpBroker, systemClock } from '#broker';
import { LockedSessionError } from './errors.js';
import { bindingToken, SessionBinding } from './locked-session.interceptor.js';
import { readLockedSessionOptions, type LockedSessionOptions } from './locked-session.settings.js';
import { LockedSessions } from './locked-sessions.js';
import { newSessionId, SessionCookie } from './session-cookie.js';

export interface LockedSessionExtras {
  /** Visible in every module without importing this one there. Default true. */
  isGlobal?: boolean;
  /** Names this instance, when an application has several: see `@LockedSession({ instance })` and `@Inject(sessionsToken(name))`. */
  instance?: string | undefined;
}

/** What to inject to get a named instance's `LockedSessions`; the unnamed one's is the class itself. */
export function sessionsToken(instance: string): string {
  return `locked-session:sessions:${instance}`;
}

const optionsToken = Symbol('locked-session:options');
/** This module's own binding, whatever name it is exported by. */
const ownBinding = Symbol('locked-session:own-binding');

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<LockedSessionOptions>({
  optionsInjectionToken: optionsToken,
})
  .setClassMethodName('forRoot')
  .setExtras<LockedSessionExtras>(
    { isGlobal: true, instance: undefined },
    (definition, { isGlobal = true, instance }) => complete({ ...definition, global: isGlobal }, instance),
  )
  .build();

@Module({})
export class LockedSessionModule
  extends ConfigurableModuleClass
  implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown
{
  private readonly log = new Logger('LockedSession');

  constructor(@Inject(ownBinding) private readonly binding: SessionBinding) {
    super();
  }

  /** Does not wait for broker or store: the application starts without them, and scopes wait until they come. */
  onApplicationBootstrap(): void {
    this.binding.sessions
      .start()
      .catch((error: unknown) => this.log.error(`cannot join the broker: ${String(error)}`));
  }

  /** Nest lets requests under way end before it goes on: those that only wait for a lock must not hold it up. */
  beforeApplicationShutdown(): void {
    this.binding.sessions.turnAway();
  }

  /** Requests under way have ended by now: every lock is released. */
  async onApplicationShutdown(): Promise<void> {
    await this.binding.sessions.close();
  }
}

function complete(definition: DynamicModule, instance: string | undefined): DynamicModule {
  const sessions = instance === undefined ? LockedSessions : sessionsToken(instance);
  const binding = bindingToken(instance);
  const providers: Provider[] = [
    { provide: ownBinding, useFactory: makeBinding, inject: [optionsToken] },
    { provide: binding, useExisting: ownBinding },
    { provide: sessions, useFactory: (own: SessionBinding) => own.sessions, inject: [ownBinding] },
  ];
  return {
    ...definition,
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), binding, sessions],
  };
}

function makeBinding(options: LockedSessionOptions): SessionBinding {
  const settings = readLockedSessionOptions(options);
  const { cookie, resolve, onServed } = settings;
  if ((cookie === undefined) === (resolve === undefined)) {
    throw new LockedSessionError(
      'settings',
      "LockedSessionModule: give either 'cookie' (with its secrets) or 'resolve', so that a request's session can be found",
    );
  }
  const log = new Logger('LockedSession');
  const { sessionQueueExpiresMs } = settings;
  const holder = randomUUID();
  const given = settings.broker;
  const broker =
    'join' in given
      ? given
      : new AmqpBroker({ ...given, name: `${given.prefix} holder ${holder}`, sessionQueueExpiresMs, log });
  const sessions = new LockedSessions(
    holder,
    { broker, clock: systemClock, log, newId: newSessionId },
    { ...settings, writeBackMs: settings.writePolicy === 'write-back' ? settings.writeBackMs : 0 },
  );
  return new SessionBinding(sessions, cookie && new SessionCookie(cookie), resolve, onServed);
}
