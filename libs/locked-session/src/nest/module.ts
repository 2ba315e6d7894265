/** The module that app servers import. It provides `LockedSessions`, and all that the decorators need. */
import {
  ConfigurableModuleBuilder,
  Inject,
  Logger,
  Module,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { randomUUID } from 'node:crypto';
import { AmqpBroker, calmLog, systemClock, type Broker, type Log } from '#broker';
import { openTrace, type TraceSink } from '#trace';
import { LockedSessionError } from '../errors.js';
import { arrangeHandlers, refuseIdleLocks } from './handler-scan.js';
import { bindingToken, SessionBinding } from './interceptor.js';
import type { LockedSessionOptions } from './options.js';
import { readLockedSessionOptions, type LockedSessionSettings } from './settings.js';
import { LockedSessions } from '../sessions/locked-sessions.js';
import { newSessionId, SessionCookie } from './session-cookie.js';
import { sessionFinder } from './session-of-request.js';

export interface LockedSessionExtras {
  /** Makes the module visible in every other one without an import there. Default true. */
  isGlobal?: boolean;
  /**
   * Names this instance, when an application has several: see `@LockedSession({ instance })` and
   * `@Inject(sessionsToken(name))`.
   */
  instance?: string | undefined;
}

/**
 * How long RabbitMQ may take for the last messages, in milliseconds, so that all ends within a second after
 * `closeMs`.
 */
const closeTimeoutMs = 300;

/**
 * The injection token of a named instance's `LockedSessions`. That of the unnamed one is the class itself.
 */
export function sessionsToken(instance: string): string {
  return `locked-session:sessions:${instance}`;
}

const optionsToken = Symbol('locked-session:options');
const handlerScan = Symbol('locked-session:handler-scan');
/** The token of this module's own binding, under whatever token it is exported. */
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
  implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown
{
  private readonly log = calmLog(new Logger('LockedSession'));
  private isClosing = false;
  private closed: Promise<void> | undefined;

  constructor(
    @Inject(ownBinding) private readonly binding: SessionBinding,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {
    super();
  }

  /**
   * All providers have their instances by now. Does not wait for broker or store. The application starts
   * without them, and scopes wait until they are there.
   */
  onModuleInit(): void {
    refuseIdleLocks(this.modules);
    this.binding.sessions.start().catch((error: unknown) => {
      if (!this.isClosing) this.log.error(`cannot join the broker: ${String(error)}`);
    });
  }

  /**
   * Nest lets requests under way end before it goes on. Requests that wait for a lock must not delay it, and
   * others must not wait for the lock of a handler that never ends. So the time to close counts from here.
   */
  beforeApplicationShutdown(): void {
    this.isClosing = true;
    this.close().catch((error: unknown) => this.log.error(`did not close in order: ${String(error)}`));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.close();
  }

  private close(): Promise<void> {
    const { sessions, ownBroker } = this.binding;
    this.closed ??= sessions.close().then(() => ownBroker?.close());
    return this.closed;
  }
}

function complete(definition: DynamicModule, instance: string | undefined): DynamicModule {
  const sessions = instance === undefined ? LockedSessions : sessionsToken(instance);
  const binding = bindingToken(instance);
  const providers: Provider[] = [
    { provide: ownBinding, useFactory: makeBinding, inject: [optionsToken] },
    { provide: binding, useExisting: ownBinding },
    { provide: sessions, useFactory: (own: SessionBinding) => own.sessions, inject: [ownBinding] },
    { provide: handlerScan, useFactory: scanHandlers(instance), inject: [ModulesContainer, ownBinding] },
  ];
  return {
    ...definition,
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), binding, sessions],
  };
}

/** The instance names of the modules of one application, and the names of their cookies. */
const instances = new WeakMap<ModulesContainer, Map<string | undefined, string | undefined>>();

/** Nest makes providers before it makes routes, so that this is in time. */
function scanHandlers(instance: string | undefined) {
  return (modules: ModulesContainer, { cookie }: SessionBinding): void => {
    const others = instances.get(modules) ?? new Map<string | undefined, string | undefined>();
    instances.set(modules, others);
    const mine = instance === undefined ? 'without a name' : `named '${instance}'`;
    if (others.has(instance))
      throw wrongInstance(`there are two modules ${mine}. Give each another 'instance', or import one only`);
    const [other] = [...others].find(([, name]) => name !== undefined && name === cookie?.name) ?? [];
    if (cookie && [...others.values()].includes(cookie.name)) {
      const theirs = other === undefined ? 'without a name' : `named '${other}'`;
      throw wrongInstance(
        `the modules ${mine} and ${theirs} both use the cookie '${cookie.name}'. Set another 'cookie.name'`,
      );
    }
    others.set(instance, cookie?.name);
    arrangeHandlers(modules);
  };
}

function wrongInstance(what: string): LockedSessionError {
  return new LockedSessionError('settings', `LockedSessionModule: ${what}`);
}

function makeBinding(options: LockedSessionOptions): SessionBinding {
  const settings = readLockedSessionOptions(options);
  const { cookie, resolve, onServed, streamMs } = settings;
  if ((cookie === undefined) === (resolve === undefined)) {
    throw new LockedSessionError(
      'settings',
      "LockedSessionModule: give either 'cookie' (with its secrets) or 'resolve', so that a request's " +
        'session can be found',
    );
  }
  const cookies = cookie && new SessionCookie(cookie);
  const log = calmLog(new Logger('LockedSession'));
  const { sessionQueueExpiresMs } = settings;
  const holder = randomUUID();
  const given = settings.broker;
  const ownBroker = 'join' in given ? undefined : makeBroker(holder, given, sessionQueueExpiresMs, log);
  const broker = ownBroker ?? (given as Broker);
  const trace = makeTrace(settings.trace, holder, log);
  const find = sessionFinder(cookies, resolve);
  const sessions = new LockedSessions(
    holder,
    { broker, clock: systemClock, log, newId: newSessionId, find, trace },
    { ...settings, writeBackMs: settings.writePolicy === 'write-back' ? settings.writeBackMs : 0 },
  );
  return new SessionBinding(sessions, cookies, resolve, { onServed, streamMs }, ownBroker);
}

function makeTrace(
  settings: LockedSessionSettings['trace'],
  holder: string,
  log: Log,
): TraceSink | undefined {
  if (!settings) return undefined;
  try {
    const { after } = systemClock;
    return openTrace(settings, { role: 'holder', process: holder, warn: (line) => log.warn(line), after });
  } catch (error) {
    throw new LockedSessionError(
      'settings',
      `LockedSessionModule: 'trace.directory' cannot be written to: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function makeBroker(
  holder: string,
  { password, tls, ...settings }: Exclude<LockedSessionSettings['broker'], Broker>,
  sessionQueueExpiresMs: number,
  log: Log,
): AmqpBroker {
  return new AmqpBroker({
    ...settings,
    secrets: async () => ({
      password: typeof password === 'function' ? await password() : password,
      tls: typeof tls === 'function' ? await tls() : tls,
    }),
    name: `${settings.prefix} holder ${holder}`,
    sessionQueueExpiresMs,
    closeTimeoutMs,
    log,
  });
}
