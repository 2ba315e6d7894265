/** The broker of live-mutex, in a process of its own. */
import { createRequire } from 'node:module';

const { Broker } = createRequire(import.meta.url)('live-mutex') as {
  Broker: new (options: object) => { ensure(): Promise<unknown> };
};
await new Broker({ port: Number(process.env.PORT) }).ensure();
console.log('ready');
