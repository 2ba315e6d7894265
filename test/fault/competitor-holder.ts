/**
 * A process that is paused while it holds locks of another kind (competitor-locks.ts). It takes all of
 * `RESOURCES`, works under each for the time in `WORK_MS`, checks whether its lock is lost, and writes.
 */
import { setTimeout as pass } from 'node:timers/promises';
import { openLock, type LockKind } from './competitor-locks.js';

const { LOCK_KIND, LOCK_URL, RESOURCES, WORK_MS } = process.env;
const lock = await openLock(LOCK_KIND as LockKind, LOCK_URL!);
const resources = RESOURCES!.split(' ');
const work = WORK_MS!.split(' ').map(Number);
let inside = 0;

await Promise.all(
  resources.map(
    (resource, at) =>
      lock
        .with(resource, async (check) => {
          await lock.read(resource);
          if (++inside === resources.length) console.log('all are inside');
          await pass(work[at]);
          check();
          await lock.write(resource, 'old');
        })
        .catch(() => {}), // it learned of the loss in time, and wrote nothing
  ),
);
await lock.close();
process.exit();
