/**
 * Puts a meter into each store that an application gives to express-session or @fastify/session, by a
 * function in place of the package's own. The application's code stays as it is.
 */
import Module, { createRequire } from 'node:module';
import { join, sep } from 'node:path';
import { hookFastify, type MeteredStore } from '#meter';

/** Told of each store before the package gets it. Must not throw. */
export type OnStore = (store: MeteredStore) => void;

type AnyFunction = (...given: unknown[]) => unknown;
/** What both packages export, as far as it is used. */
type SessionPackage = AnyFunction & { readonly MemoryStore: new () => MeteredStore };
interface Options {
  readonly store?: MeteredStore;
}

const around: Readonly<Record<string, (exported: SessionPackage, onStore: OnStore) => AnyFunction>> = {
  'express-session':
    (exported, onStore) =>
    (given, ...more) =>
      exported(withStore(exported, given, onStore), ...more),
  '@fastify/session':
    (exported, onStore) =>
    (fastify, given, ...more) => {
      const options = withStore(exported, given, onStore);
      hookFastify(fastify as Parameters<typeof hookFastify>[0]);
      return exported(fastify, options, ...more);
    },
};

/**
 * From now on, each copy of the packages that is loaded is another one's. ES modules come by here, too, since
 * both packages are CommonJS. What they see is what a module exports when it has been compiled.
 */
export function meterSessionPackages(onStore: OnStore): void {
  const prototype = Module.prototype as unknown as {
    _compile: (this: Module, ...given: string[]) => unknown;
  };
  const compile = prototype._compile;
  prototype._compile = function compileMetered(...given) {
    const compiled = compile.apply(this, given);
    const name = packageOf(this.filename);
    if (name !== undefined) this.exports = replaced(name, this.exports as SessionPackage, onStore);
    return compiled;
  };
}

/** The package whose entry the file is: from there its name leads to the file itself. */
function packageOf(file: string): string | undefined {
  return Object.keys(around).find((name) => {
    if (!file.includes(join(sep, 'node_modules', name, sep))) return false;
    try {
      return createRequire(file).resolve(name) === file;
    } catch {
      return false;
    }
  });
}

/** Everything but the call is the package's own: its name, its symbols, its classes. */
function replaced(name: string, exported: SessionPackage, onStore: OnStore): unknown {
  const metered = around[name]!(exported, onStore);
  const proxy: unknown = new Proxy(exported, {
    apply: (_target, _self, given: unknown[]) => metered(...given),
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      return value === target ? proxy : value; // `default`, and the function by its name
    },
  });
  return proxy;
}

/** Wrong options are the package's to complain about. */
function withStore({ MemoryStore }: SessionPackage, given: unknown, onStore: OnStore): unknown {
  if (typeof given !== 'object' && given !== undefined) return given;
  const { store } = (given ?? {}) as Options;
  if (store) {
    onStore(store);
    return given;
  }
  const own = new MemoryStore();
  onStore(own);
  return { ...given, store: own };
}
