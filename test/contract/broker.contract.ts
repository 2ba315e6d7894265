/**
 * The promises of each adapter of the port `Broker`, one scenario each. A party is one process at the broker.
 * The tests wait for events at the parties, and never for time to pass.
 */
import { describe } from 'vitest';
import { echoesContract } from './broker.echoes.contract.js';
import { framesContract } from './broker.frames.contract.js';
import { linksContract } from './broker.links.contract.js';
import type { MakeExchange } from './broker.parties.js';
import { storesContract } from './broker.stores.contract.js';
import { sessionsContract } from './broker.sessions.contract.js';

export function brokerContract(name: string, makeExchange: MakeExchange): void {
  describe(`Broker: ${name}`, () => {
    framesContract(makeExchange);
    linksContract(makeExchange);
    sessionsContract(makeExchange);
    echoesContract(makeExchange);
    storesContract(makeExchange);
  });
}
