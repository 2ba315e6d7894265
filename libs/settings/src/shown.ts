/** Shows a wrong value of any kind in a message, in short. */

const maxChars = 100;

/** One line of 100 characters at most. Never throws, and calls no method of the value. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > maxChars
        ? `${JSON.stringify(value.slice(0, maxChars))}… (${value.length} characters)`
        : JSON.stringify(value);
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return `${String(value).slice(0, maxChars)}n`;
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? 'an array' : 'an object';
    default:
      return `a ${typeof value}`;
  }
}
