/** The settings of tracing, as an application gives them. A store has the same ones as variables. */
import { z } from 'zod';
import { whole } from '#settings';

export const traceLimits = { maxBytes: [65_536, 2 ** 40], keyChars: 16 } as const;
export const traceDefaults = { maxBytes: 64 * 1024 * 1024 };

/** docs/SETTINGS.md has their limits and defaults. */
export interface TraceOptions {
  /** The directory of the traces. Each process writes a file of its own, readable for its user alone. */
  directory: string;
  /** Most bytes of a trace. Then it is cut. */
  maxBytes?: number | undefined;
  /**
   * Sessions and values are hashed with it. It is a secret of the deployment, the same in all app servers and
   * stores.
   */
  key: string;
}

export const traceSettings = z.strictObject({
  directory: z.string().min(1).meta({ limits: 'a path' }),
  maxBytes: whole(...traceLimits.maxBytes).default(traceDefaults.maxBytes),
  key: z
    .string()
    .min(traceLimits.keyChars)
    .meta({ limits: `${traceLimits.keyChars} characters or more` }),
}) satisfies z.ZodType<unknown, TraceOptions>;

export type TraceSettings = z.output<typeof traceSettings>;

/** Whether a wrong option must not be shown: the key, or a text where all of it belongs. */
export const isTraceSecret = ([option, name]: readonly PropertyKey[]): boolean =>
  option === 'trace' && name !== 'directory' && name !== 'maxBytes';
