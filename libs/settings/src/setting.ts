/**
 * Settings as zod schemas, and what a schema tells people of each. A setting's name ends with its unit, and
 * its schema has the limits and the default. So a text about a setting says what it means, and nothing of
 * these.
 */
import { z } from 'zod';

/** A whole number within limits. */
export const whole = (least: number, most: number) => z.number().int().min(least).max(most);

/** The same for an environment variable, whose value is a text. */
export const wholeInText = (least: number, most: number) => z.coerce.number().int().min(least).max(most);

export interface SettingRow {
  /** With the names of the objects that it is in: `cookie.path`. */
  readonly name: string;
  /** What is allowed: `1 to 600`. */
  readonly limits: string;
  /** Empty where the value has none. */
  readonly unit: string;
  /** Undefined: there is none. */
  readonly default: string | undefined;
  readonly isRequired: boolean;
  /** What `describe` says of it; empty where nothing does. */
  readonly meaning: string;
}

/**
 * The part of a JSON schema that is told. `limits` comes by `.meta({ limits })`, where a schema cannot tell
 * its own.
 */
interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: string | number | boolean | object;
  readonly description?: string;
  readonly limits?: string;
}

/** A row for each setting of an object, those of inner objects too. */
export function settingRows(schema: z.ZodObject): SettingRow[] {
  return rowsOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema, '');
}

function rowsOf({ properties = {}, required = [] }: JsonSchema, prefix: string): SettingRow[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const inner = [schema, ...(schema.anyOf ?? [])].find((one) => one.properties);
    const row = {
      name: prefix + name,
      limits: limitsOf(schema),
      unit: unitOf(name),
      default: defaultOf(schema),
      isRequired: required.includes(name),
      meaning: schema.description ?? '',
    };
    return [row, ...(inner ? rowsOf(inner, `${prefix}${name}.`) : [])];
  });
}

function limitsOf(schema: JsonSchema): string {
  const alternatives = alternativesOf(schema);
  const [last] = alternatives.slice(-1);
  return [alternatives.slice(0, -1).join(', '), last].filter(Boolean).join(' or ');
}

function alternativesOf(schema: JsonSchema): readonly string[] {
  const { limits, anyOf, minimum, maximum, type } = schema;
  if (limits !== undefined) return [limits];
  if (anyOf) return anyOf.flatMap(alternativesOf);
  if (schema.enum) return schema.enum;
  if (schema.const !== undefined) return [schema.const];
  if (minimum !== undefined && maximum !== undefined) return [`${minimum} to ${maximum}`];
  if (type === 'boolean') return ['true', 'false'];
  return [type === 'object' ? 'an object' : 'a text'];
}

const units: readonly (readonly [suffix: RegExp, unit: string])[] = [
  [/(Ms|_MS)$/, 'ms'],
  [/(Bytes|_BYTES)$/, 'bytes'],
  [/_MIB$/, 'MiB'],
  [/PerSecond$/, 'per second'],
  [/(Seconds|_SECONDS)$/, 's'],
];

const unitOf = (name: string): string => units.find(([suffix]) => suffix.test(name))?.[1] ?? '';

/** That of an object is told by its parts. */
function defaultOf({ default: value }: JsonSchema): string | undefined {
  return typeof value === 'object' ? undefined : value?.toString();
}
