/**
 * A process that is paused while it holds locks of another kind (peer-locks.ts), for the comparison: takes all of `RESOURCES`, works under each for as long as `WORK_MS` says, looks
 * whether the lock is lost as far as it is told, and writes.
 */
import { setTimeout as pass } from 'node:timers/promises';
import { openPeer, type PeerKind } from './peer-locks.js';

const { PEER, PEER_URL, RESOURCES, WORK_MS } = process.env;
const peer = await openPeer(PEER as PeerKind, PEER_URL!);
const resources = RESOURCES!.split(' ');
const work = WORK_MS!.split(' ').map(Number);
let inside = 0;

await Promise.all(
  resources.map(
    (resource, at) =>
      peer
        .with(resource, async (check) => {
          await peer.read(resource);
          if (++inside === resources.length) console.log('all are inside');
          await pass(work[at]);
          check();
          await peer.write(resource, 'old');
        })
        .catch(() => {}), // told in time: nothing written
  ),
);
await peer.close();
process.exit();
