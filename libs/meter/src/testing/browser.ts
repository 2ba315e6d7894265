/**
 * A client with one cookie jar for specs, and a gate that holds requests until a number of them has come. So
 * a spec decides who reads before whom.
 */
import type { AddressInfo, Server } from 'node:net';

export class Client {
  private cookie: string | undefined;

  constructor(private readonly port: number) {}

  static of(server: Server): Client {
    return new Client((server.address() as AddressInfo).port);
  }

  async send(method: string, path: string, body?: object): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: {
        ...(this.cookie !== undefined && { cookie: this.cookie }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const given = answer.headers.getSetCookie()[0]?.split(';', 1)[0];
    if (given !== undefined) this.cookie = given;
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text;
  }

  /** At once. */
  sendMany(count: number, method: string, path: string): Promise<string[]> {
    return Promise.all(Array.from({ length: count }, () => this.send(method, path)));
  }
}

/** Opens when `count` have come, and holds nobody from then on. */
export class Gate {
  private readonly waiting: (() => void)[] = [];
  private come = 0;

  constructor(private readonly count: number) {}

  pass(): Promise<void> {
    this.come += 1;
    if (this.come >= this.count) for (const open of this.waiting.splice(0)) open();
    return this.come >= this.count ? Promise.resolve() : new Promise((open) => this.waiting.push(open));
  }
}
