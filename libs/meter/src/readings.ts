/**
 * Who has read what of a store: the state of each session as its reader got it. Nothing is kept for longer
 * than the session or the request.
 */
import { requestOf, runningRequest } from './requests.js';
import type { Snapshot } from './verdict.js';

/** What the one who saves has read. */
export interface Reading {
  /** Undefined: the session was not there. */
  readonly base: Snapshot | undefined;
  readonly request: object | undefined;
  /** What is saved now is what has been read. Given a base of before, it is taken back. */
  rebase(base: Snapshot | undefined): void;
}

export class Readings {
  /** By the session that express-session made of what it read. */
  private readonly sessions = new WeakMap<object, Snapshot | undefined>();
  /** By the object that the store gave. An application that reads a store itself saves that object. */
  private readonly records = new WeakMap<object, Snapshot>();
  /** By the request of Fastify, and by the session's id. */
  private readonly requests = new WeakMap<object, Map<string, Snapshot | undefined>>();

  got(id: string, record: object, base: Snapshot): void {
    this.records.set(record, base);
    const request = runningRequest();
    if (request) this.ofRequest(request).set(id, base);
  }

  /** Express-session has made `session` of `record`, which may come from elsewhere: then it is `asMade`. */
  made(session: object, record: object, asMade: () => Snapshot): void {
    this.sessions.set(session, this.records.get(record) ?? asMade());
  }

  /** Undefined: nobody knows what was read. */
  of(id: string, session: object): Reading | undefined {
    const request = requestOf(session);
    // A session without a base is new: its request has read nothing.
    if (request) return readingIn(this.sessions, session, request);
    const fastifys = runningRequest();
    if (fastifys && 'encryptedSessionId' in session) {
      return readingIn(this.ofRequest(fastifys), id, fastifys);
    }
    return this.records.has(session) ? readingIn(this.records, session, undefined) : undefined;
  }

  private ofRequest(request: object): Map<string, Snapshot | undefined> {
    const read = this.requests.get(request) ?? new Map<string, Snapshot | undefined>();
    this.requests.set(request, read);
    return read;
  }
}

interface Bases<K> {
  get(key: K): Snapshot | undefined;
  set(key: K, base: Snapshot | undefined): unknown;
}

const readingIn = <K>(bases: Bases<K>, key: K, request: object | undefined): Reading => ({
  base: bases.get(key),
  request,
  rebase: (base) => void bases.set(key, base),
});
