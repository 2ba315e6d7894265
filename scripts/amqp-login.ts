/**
 * Finds out whether somebody speaks AMQP 0-9-1 at an address and lets a user in, by the first three steps of the
 * protocol's handshake: header → Start, Start-Ok → Tune. There it hangs up; the rest is for a real client.
 */
import { connect, type Socket } from 'node:net';

export interface Login {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** Resolves when the login was accepted. Otherwise the error's message says why not. */
export async function tryLogin(login: Login, withinMs = 6_000): Promise<void> {
  const { host, port } = login;
  const signal = AbortSignal.timeout(withinMs);
  const socket = connect({ host, port, signal });
  socket.write(PROTOCOL_HEADER);
  let step: number = CONNECTION_START;
  try {
    for await (const method of methods(socket)) {
      if (method.readUInt32BE(0) !== step) break;
      if (step === CONNECTION_TUNE) return;
      socket.write(startOk(login));
      step = CONNECTION_TUNE;
    }
  } catch (error) {
    if (signal.aborted)
      throw new Error(`no answer from ${host}:${port} within ${withinMs} ms`, { cause: error });
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code !== 'ECONNRESET')
      throw new Error(`nobody listens at ${host}:${port} (${code})`, { cause: error });
  } finally {
    socket.destroy();
  }
  throw new Error(
    step === CONNECTION_START
      ? `who listens at ${host}:${port} does not speak AMQP 0-9-1`
      : `the RabbitMQ at ${host}:${port} does not let the user ${login.user} in`,
  );
}

const PROTOCOL_HEADER = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');
const METHOD_FRAME = 1;
const FRAME_END = 0xce;

// Class and method, as they stand at the beginning of a method frame's payload.
const CONNECTION_START = 0x000a_000a;
const CONNECTION_START_OK = 0x000a_000b;
const CONNECTION_TUNE = 0x000a_001e;

function startOk({ user, password }: Login): Buffer {
  const method = uint32(CONNECTION_START_OK);
  const noClientProperties = uint32(0);
  const response = Buffer.from(`\0${user}\0${password}`);
  const payload = Buffer.concat([
    method,
    noClientProperties,
    shortString('PLAIN'),
    uint32(response.length),
    response,
    shortString('en_US'),
  ]);
  const channel0 = [0, 0];
  return Buffer.concat([
    Buffer.from([METHOD_FRAME, ...channel0]),
    uint32(payload.length),
    payload,
    Buffer.from([FRAME_END]),
  ]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const shortString = (text: string): Buffer => Buffer.from([text.length, ...Buffer.from(text)]);

/** The payloads of the method frames that arrive, until something else does. */
async function* methods(socket: Socket): AsyncGenerator<Buffer> {
  const headerBytes = 7;
  let received = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, chunk]);
    while (received.length > headerBytes) {
      if (received[0] !== METHOD_FRAME) return;
      const end = headerBytes + received.readUInt32BE(3);
      if (received.length <= end) break;
      if (received[end] !== FRAME_END || end < headerBytes + 4) return;
      yield received.subarray(headerBytes, end);
      received = received.subarray(end + 1);
    }
  }
}
