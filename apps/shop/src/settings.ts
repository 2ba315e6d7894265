/**
 * The shop's settings, from the environment. A wrong one stops the start with its name, its value (but no
 * secret's) and what is allowed. `LockedSessionModule` checks what it is given itself, and has the defaults.
 */
import { z } from 'zod';

const whole = (least: number, most: number) => z.coerce.number().int().min(least).max(most);

const table = {
  PORT: whole(0, 65_535).default(3000).describe('a port, 0 for any free one'),
  SERVER_NAME: z
    .string()
    .regex(/^[\w.:-]{1,64}$/)
    .default(`shop-${process.pid}`)
    .describe('1 to 64 letters, digits, . : _ -'),
  SESSION_SECRET: z.string().min(16).describe('a secret of at least 16 characters, the same on every server'),
  AMQP_URL: z.string().default('amqp://guest:guest@127.0.0.1:5672').describe('where RabbitMQ is'),
  AMQP_PREFIX: z.string().optional().describe('the same as in the store'),
  PARTITIONS: z.coerce.number().optional().describe('the same number as in the store'),
  QUEUES: z
    .enum(['partitioned', 'per-session'])
    .optional()
    .describe('partitioned or per-session, the same on every server'),
};

export type Settings = z.infer<z.ZodObject<typeof table>>;

/** An empty variable counts as not set. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const given = Object.fromEntries(Object.keys(table).map((name) => [name, env[name] || undefined]));
  const parsed = z.object(table).safeParse(given);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(({ path }) => {
    const name = path[0] as keyof typeof table;
    const shown = name === 'SESSION_SECRET' ? 'wrong' : `'${given[name]}'`;
    return `${name} is ${given[name] ? shown : 'not set'}, but must be ${table[name].description}`;
  });
  throw new Error(lines.join('\n'));
}
