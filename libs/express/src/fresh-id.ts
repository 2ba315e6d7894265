/** The id of a new session. One from the application's `genid` may be used already, and is tried. */
import type { RunOptions } from '#locked-session';
import { goneCode, idUsed } from './answers.js';
import type { SessionRequest, Settings } from './options.js';

/** So often `genid` may return an id that is used. */
export const maxTries = 3;

/** Throws `id-taken` when `genid` returns nothing new. `lock` is how the session of an id is looked for. */
export async function freshId(
  request: SessionRequest,
  { genid, sessions }: Settings,
  lock: RunOptions,
): Promise<string> {
  if (!genid) return sessions.newId();
  let id = '';
  for (let i = 0; i < maxTries; i++) {
    id = genid(request);
    if (!(await isUsed(id))) return id;
  }
  throw idUsed(id);

  async function isUsed(id: string): Promise<boolean> {
    try {
      return await sessions.run(id, { ...lock, create: false }, () => true);
    } catch (error) {
      const code = goneCode(error);
      if (!code) throw error;
      return code === 'session-destroyed';
    }
  }
}
