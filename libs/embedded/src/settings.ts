/**
 * What the embedded mode can set beside what `LockedSessionModule` can. A wrong setting stops the start, with
 * its name, its value and what is allowed.
 */
import { z } from 'zod';
import { LockedSessionError, type LockedSessionOptions } from '#locked-session';
import { settingRows, whole, wrongOptions, wrongWhole, type SettingRow } from '#settings';
import { tombstoneMs } from '#store';
import { isTraceSecret, traceSettings, type TraceOptions } from '#trace';

/** The store's part of the options. docs/SETTINGS.md has their limits and defaults. */
interface StoreOptions {
  /**
   * The directory where sessions are kept. Without it they end with the process. One application at a time
   * can use it.
   */
  directory?: string | undefined;
  /** How long a session is kept after its last use. */
  ttlMs?: number | undefined;
  /**
   * How long a request with the cookie of a destroyed session is told so. After that its cookie begins
   * another session.
   */
  destroyedNoticeMs?: number | undefined;
  /**
   * An acknowledged change survives the death of this process (`process`), or a loss of power too (`disk`).
   */
  durability?: 'process' | 'disk' | undefined;
  /** Opens a directory whose newest changes are gone. Otherwise that stops the start. */
  acceptOlderData?: boolean | undefined;
  /** Writes down what this process does, as an app server and as a store, for `locked-session verify`. */
  trace?: TraceOptions | undefined;
}

const store = z.object({
  directory: z.string().min(1).optional().meta({ limits: 'a path' }),
  ttlMs: whole(1_000, 31_536_000_000).default(86_400_000),
  destroyedNoticeMs: whole(0, tombstoneMs).default(60_000),
  durability: z.enum(['process', 'disk']).default('process'),
  acceptOlderData: z.boolean().default(false),
  trace: traceSettings.optional(),
}) satisfies z.ZodType<unknown, StoreOptions>;

type SessionOptions = Omit<LockedSessionOptions, 'broker' | 'partitions'>;

/** What `forRoot` and `forRootAsync` take: `isGlobal` and `instance` stand beside it. */
export interface EmbeddedSettingsOptions extends SessionOptions, StoreOptions {}

export interface EmbeddedSettings {
  readonly store: z.output<typeof store>;
  /** Checked by `LockedSessionModule`. */
  readonly sessions: SessionOptions;
}

/** A row for each of the store's options, for docs/SETTINGS.md. Their meanings are the comments above. */
export const embeddedSettingRows = (): SettingRow[] => settingRows(store);

const module = 'EmbeddedLockedSessionModule';
/** Its servers share sessions, which those of an embedded store do not. So it must not pass unseen. */
const ofOtherModule = ['broker', 'partitions'] as const;

/** Throws a `LockedSessionError` with the code `settings`: a line for each setting that is wrong. */
export function readEmbeddedOptions(options: EmbeddedSettingsOptions): EmbeddedSettings {
  const none = wrongWhole(module, options);
  if (none !== undefined) throw new LockedSessionError('settings', none);
  const foreign = ofOtherModule.filter(
    (name) => (options as Partial<LockedSessionOptions>)[name] !== undefined,
  );
  const { directory, ttlMs, destroyedNoticeMs, durability, acceptOlderData, ...sessions } = options;
  const own: z.input<typeof store> = {
    directory,
    ttlMs,
    destroyedNoticeMs,
    durability,
    acceptOlderData,
    trace: sessions.trace,
  };
  const parsed = store.safeParse(own);
  if (parsed.success && foreign.length === 0) return { store: parsed.data, sessions };
  const issues = parsed.error?.issues ?? [];
  const lines = [
    ...foreign.map((name) => `${module}: '${name}' is an option of LockedSessionModule alone`),
    ...wrongOptions({ module, options: own, issues, isSecret: isTraceSecret }),
  ];
  throw new LockedSessionError('settings', lines.join('\n'));
}
