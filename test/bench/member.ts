/** One app server of a contestant, in a process of its own, which does what the benchmark's process asks. */
import type { Contestant, Place } from './contest.js';
import { contestants, type ContestantName } from './contestants/contestants.js';
import { makeSessions, runLoad, type Load } from './load.js';

export type Order =
  /** Makes the sessions of the load. */
  | { readonly do: 'make'; readonly load: Load }
  | { readonly do: 'load'; readonly load: Load; readonly warmUpMs: number; readonly ms: number }
  /** One change; answered with how long it took, in milliseconds. */
  | { readonly do: 'change'; readonly session: string }
  | { readonly do: 'count'; readonly sessions: readonly string[] }
  | { readonly do: 'close' };

const [name, given] = process.argv.slice(2) as [ContestantName, string];
const place = JSON.parse(given) as Place;
const client = await (contestants[name] as Contestant).open(place);

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'make':
      return makeSessions(client, order.load, place);
    case 'load':
      return runLoad(client, order.load, { ...order, ...place });
    case 'change': {
      const begin = performance.now();
      await client.change(order.session, 0);
      return performance.now() - begin;
    }
    case 'count': {
      let sum = 0;
      for (const session of order.sessions) sum += await client.count(session);
      return sum;
    }
    case 'close':
      return client.close();
  }
}

process.on('message', (order: Order) => {
  obey(order).then(
    (result) => process.send!({ result }),
    (error: unknown) => process.send!({ error: error instanceof Error ? error.stack : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ result: 'open' });
