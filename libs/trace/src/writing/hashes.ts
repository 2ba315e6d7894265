/**
 * Sessions and values as they stand in traces: HMACs with the key of the deployment. Who does not have the
 * key learns nothing of them, and cannot even tell whether two sessions have the same value.
 */
import { createHmac } from 'node:crypto';

/** Characters of base64url, of six bits each: enough for no two values ever to meet. */
const hashChars = 22;

/** Sessions of which the hash is remembered, at most. */
const maxSessions = 10_000;

interface KnownValue {
  readonly session: string;
  readonly name: string;
  readonly hash: string;
}

export class TraceHashes {
  /** Tells whether two traces were written with the same key, and does not tell the key. */
  readonly fingerprint: string;
  private readonly sessions = new Map<string, string>();
  private readonly values = new WeakMap<Uint8Array, KnownValue>();

  constructor(private readonly key: string) {
    this.fingerprint = this.hash('key', '');
  }

  machine(name: string): string {
    return this.hash('machine', name);
  }

  session(id: string): string {
    const known = this.sessions.get(id);
    if (known !== undefined) return known;
    if (this.sessions.size >= maxSessions) this.sessions.clear();
    const hash = this.hash('session', id);
    this.sessions.set(id, hash);
    return hash;
  }

  /** A value stays the same array for as long as it is held: its hash is made once. */
  value(session: string, name: string, bytes: Uint8Array): string {
    const known = this.values.get(bytes);
    if (known?.session === session && known.name === name) return known.hash;
    const hash = this.hash('value', `${session}\n${name}\n`, bytes);
    this.values.set(bytes, { session, name, hash });
    return hash;
  }

  private hash(what: string, text: string, bytes: Uint8Array = new Uint8Array()): string {
    const mac = createHmac('sha256', this.key).update(`${what}\n${text}`).update(bytes);
    return mac.digest('base64url').slice(0, hashChars);
  }
}
