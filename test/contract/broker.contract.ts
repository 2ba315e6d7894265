/**
 * What every adapter of the port `Broker` promises, one scenario per promise. A party is one process at the broker;
 * the tests wait for what parties are told and never for time to pass.
 */
import { describe } from 'vitest';
import { framesContract } from './broker.frames.contract.js';
import { linksContract } from './broker.links.contract.js';
import type { MakeExchange } from './broker.parties.js';
import { sessionsContract } from './broker.sessions.contract.js';

export function brokerContract(name: string, makeExchange: MakeExchange): void {
  describe(`Broker: ${name}`, () => {
    framesContract(makeExchange);
    linksContract(makeExchange);
    sessionsContract(makeExchange);
  });
}
