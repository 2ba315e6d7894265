/** The handshake that tells a RabbitMQ from anything else that listens, against small stand-ins. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { tryLogin } from './amqp-login.js';

// What RabbitMQ sends, cut down to what matters: a method frame with class and method, and a payload of no interest.
const method = (classAndMethod: number[]) =>
  Buffer.from([1, 0, 0, 0, 0, 0, 6, ...classAndMethod, 7, 7, 0xce]);
const START = method([0, 10, 0, 10]);
const TUNE = method([0, 10, 0, 30]);

describe('tryLogin', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  /** A server that does `answers[0]` at the first bytes of the other side, and so on. */
  const listen = async (...answers: ((socket: Socket, bytes: Buffer) => unknown)[]) => {
    server = createServer((socket) => {
      const left = [...answers];
      socket.on('error', () => {}).on('data', (bytes) => left.shift()?.(socket, bytes));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return { host: '127.0.0.1', port, user: 'guest', password: 'sesame' };
  };

  it('sends the protocol header, then user and password, and is content with a Tune', async () => {
    const said: string[] = [];
    const login = await listen(
      (socket, bytes) => {
        said.push(bytes.toString('latin1'));
        socket.write(START.subarray(0, 5));
        setImmediate(() => socket.write(START.subarray(5)));
      },
      (socket, bytes) => {
        said.push(bytes.toString('latin1'));
        socket.write(TUNE);
      },
    );
    await tryLogin(login);
    expect(said[0]).toBe('AMQP\0\0\x09\x01');
    expect(said[1]).toContain('\x05PLAIN\0\0\0\x0d\0guest\0sesame\x05en_US\xce');
  });

  it('knows a user that is not let in', async () => {
    const login = await listen(
      (socket) => socket.write(START),
      (socket) => socket.end(),
    );
    await expect(tryLogin(login)).rejects.toThrow('does not let the user guest in');
  });

  it('knows who does not speak AMQP', async () => {
    const login = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expect(tryLogin(login)).rejects.toThrow('does not speak AMQP 0-9-1');
  });

  it('knows when nobody listens, and when nobody answers', async () => {
    const login = await listen();
    await expect(tryLogin(login, 20)).rejects.toThrow('no answer from');
    server?.close();
    await once(server!, 'close');
    await expect(tryLogin(login)).rejects.toThrow(/nobody listens at 127\.0\.0\.1:\d+ \(ECONNREFUSED\)/);
  });
});
