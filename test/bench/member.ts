/** One app server of a contestant, in a process of its own, which does what the benchmark's process asks. */
import type { Place } from './contest.js';
import { contestants, type ContestantName } from './contestants/contestants.js';
import { runLoad, type Load } from './load.js';

export type Order =
  | { readonly do: 'load'; readonly load: Load; readonly warmUpMs: number; readonly ms: number }
  /** One change; answered with how long it took, in milliseconds. */
  | { readonly do: 'change'; readonly session: string }
  | { readonly do: 'count'; readonly sessions: readonly string[] }
  | { readonly do: 'close' };

const [name, given] = process.argv.slice(2) as [ContestantName, string];
const place = JSON.parse(given) as Place;
const client = await contestants[name].open(place);

async function obey(order: Order): Promise<unknown> {
  if (order.do === 'load') return runLoad(client, order.load, { ...order, ...place });
  if (order.do === 'close') return client.close();
  if (order.do === 'change') {
    const begin = performance.now();
    await client.change(order.session);
    return performance.now() - begin;
  }
  let sum = 0;
  for (const session of order.sessions) sum += await client.count(session);
  return sum;
}

process.on('message', (order: Order) => {
  obey(order).then(
    (result) => process.send!({ result }),
    (error: unknown) => process.send!({ error: error instanceof Error ? error.stack : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ result: 'open' });
