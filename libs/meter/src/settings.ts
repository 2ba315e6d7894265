/** What a meter can be told. A wrong setting is refused with its name, its value and what is allowed. */
import { z } from 'zod';
import { settingRows, whole, wrongOptions, wrongWhole, type SettingRow } from '#settings';

/** docs/SETTINGS.md has their limits and defaults. */
export interface LostUpdateMeterOptions {
  /** Most routes that are counted each by itself. The saves of further ones are counted together. */
  maxRoutes?: number | undefined;
  /** Most keys of sessions that are counted each by itself. Further ones are counted together. */
  maxKeys?: number | undefined;
  /** Most saves whose second read is not answered yet. Of further saves the meter knows nothing. */
  maxPending?: number | undefined;
  /**
   * Keys of a session that do not count, beside `cookie`. `lastModified` is what connect-mongo adds to what
   * it reads.
   */
  ignoredKeys?: readonly string[] | undefined;
}

const settings = z.strictObject({
  maxRoutes: whole(1, 10_000).default(100),
  maxKeys: whole(1, 10_000).default(100),
  maxPending: whole(1, 1_000_000).default(10_000),
  ignoredKeys: z.array(z.string()).max(1_000).default(['lastModified']).meta({ limits: 'up to 1000 texts' }),
}) satisfies z.ZodType<unknown, { -readonly [Name in keyof LostUpdateMeterOptions]: unknown }>;

export type MeterSettings = Readonly<z.output<typeof settings>>;

/** A row for each option, for docs/SETTINGS.md. */
export const meterSettingRows = (): SettingRow[] => settingRows(settings);

const module = 'lostUpdateMeter';

/** Throws a `TypeError`: a line for each setting that is wrong. */
export function readMeterOptions(options: LostUpdateMeterOptions): MeterSettings {
  const none = wrongWhole(module, options);
  if (none !== undefined) throw new TypeError(none);
  const parsed = settings.safeParse(options);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  throw new TypeError(wrongOptions({ module, options, issues, isSecret: () => false }).join('\n'));
}
