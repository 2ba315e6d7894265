/**
 * A TCP proxy on loopback between a party and its server. It does to the connection what networks do: it
 * cuts, refuses, delays, or swallows everything.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpProxy {
  #attempts = 0;
  #attempted: () => void = () => {};
  #refusing = false;
  #mute = false;
  #stalled = false;
  #left = Infinity;
  #muted: () => void = () => {};
  /** Bytes from the clients. */
  received = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(private readonly target: URL) {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(new URL(target));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** The target's URL, through this proxy. */
  get url(): string {
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = String((this.#server.address() as AddressInfo).port);
    return url.href;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Until `accept`, each connection is closed at once. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  accept(): void {
    this.#refusing = false;
  }

  /** Resolves after so many attempts to connect, refused ones included. */
  async untilAttempts(count: number): Promise<void> {
    while (this.#attempts < count) await new Promise<void>((resolve) => (this.#attempted = resolve));
  }

  /** From now on nothing gets through, and no connection ends. */
  mute(): void {
    this.#mute = true;
  }

  /** Until `resume`, all bytes wait on their way. */
  stall(): void {
    this.#stalled = true;
    for (const socket of this.#sockets) socket.pause();
  }

  resume(): void {
    this.#stalled = false;
    for (const socket of this.#sockets) socket.resume();
  }

  /** Lets so many more bytes through to the target, and then mutes. Resolves at that moment. */
  muteAfter(bytes: number): Promise<void> {
    this.#left = bytes;
    return new Promise((resolve) => (this.#muted = resolve));
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(near: Socket): void {
    this.#attempts++;
    this.#attempted();
    if (this.#refusing) {
      near.destroy();
      return;
    }
    const far = connect({
      host: this.target.hostname,
      port: Number(this.target.port || 5672),
      noDelay: true,
    });
    near.setNoDelay(true);
    near.on('data', (bytes) => (this.received += bytes.length));
    this.#forward(near, far, (bytes) => this.#upToTheLast(bytes));
    this.#forward(far, near);
  }

  #upToTheLast(bytes: Buffer): Buffer {
    const allowed = bytes.subarray(0, this.#left);
    this.#left -= allowed.length;
    return allowed;
  }

  #forward(from: Socket, to: Socket, allowed = (bytes: Buffer) => bytes): void {
    this.#sockets.add(from);
    from.on('data', (bytes: Buffer) => {
      if (!this.#mute && to.writable) to.write(allowed(bytes));
      if (this.#left > 0) return;
      this.#mute = true;
      this.#muted();
    });
    if (this.#stalled) from.pause();
    from.on('error', () => {});
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
