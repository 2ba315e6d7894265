/**
 * What the answers have told of the visitor's sessions: which server had the lock, under which grant, for how
 * many requests. Answers overtake each other; grants do not, for their tokens say which came later. So the
 * order here is that of the tokens, whatever the order of the answers. It knows neither page nor time.
 */

/**
 * @typedef {object} Grant The lock at one server, from one grant to the next that was heard of.
 * @property {string} token as the server told it: `epoch.n`
 * @property {string} server
 * @property {number} requests how many were served under it
 * @property {number} quiet how many of these needed no message
 */

/**
 * @typedef {object} Chapter One session; the next begins with another id: at login, or after logout.
 * @property {string} session
 * @property {Grant[]} grants in the order in which the store made them
 */

/**
 * @typedef {object} Answer What an answer's headers say.
 * @property {string} server
 * @property {string | null} session
 * @property {string | null} token
 * @property {string | null} cost null: the request needed no session
 */

export class LockHistory {
  /** @type {Chapter[]} */
  chapters = [];
  /** Requests that needed the visitor's session, and those of them that needed no message to the store. */
  requests = 0;
  quiet = 0;
  #ended = false;

  /** @param {Answer} answer */
  note({ server, session, token, cost }) {
    if (cost === null) return;
    const quiet = cost === 'none' ? 1 : 0;
    this.requests++;
    this.quiet += quiet;
    if (session === null || token === null) return;
    const grant = this.#grant(this.#chapter(session), token, server);
    grant.requests++;
    grant.quiet += quiet;
  }

  /** The session was destroyed: nobody has it, and the next one has another name. */
  end() {
    this.#ended = true;
  }

  /** The session that the visitor has now. @returns {Chapter | undefined} */
  get current() {
    return this.#ended ? undefined : this.chapters.at(-1);
  }

  /**
   * The latest grant heard of: its server has the lock, until somebody else is granted it. @returns {Grant |
   * undefined}
   */
  get holder() {
    return this.current?.grants.at(-1);
  }

  /** How often the lock went from one server to another. */
  get moves() {
    const moved = ({ grants }) =>
      grants.filter(({ server }, at) => at > 0 && server !== grants[at - 1].server);
    return this.chapters.reduce((sum, chapter) => sum + moved(chapter).length, 0);
  }

  /** @param {string} session */
  #chapter(session) {
    const known = this.chapters.find((chapter) => chapter.session === session);
    if (known) return known;
    this.#ended = false;
    const chapter = { session, grants: [] };
    this.chapters.push(chapter);
    return chapter;
  }

  /** @param {Chapter} chapter @param {string} token @param {string} server @returns {Grant} */
  #grant({ grants }, token, server) {
    const known = grants.find((grant) => grant.token === token);
    if (known) return known;
    const grant = { token, server, requests: 0, quiet: 0 };
    const at = grants.findLastIndex((other) => isLater(token, other.token)) + 1;
    grants.splice(at, 0, grant);
    return grant;
  }
}

/** Tokens compare by epoch, then by n. @param {string} token @param {string} other */
function isLater(token, other) {
  const [epoch, n] = token.split('.').map(Number);
  const [otherEpoch, otherN] = other.split('.').map(Number);
  return epoch > otherEpoch || (epoch === otherEpoch && n > otherN);
}
