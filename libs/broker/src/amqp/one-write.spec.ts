/** What a socket gets of the writes of one turn. */
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { writeOnceATurn } from './one-write.js';

/** A stream that notes each call that would be a system call of a socket. */
function socket() {
  const calls: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      calls.push(String(chunk));
      done();
    },
    writev(chunks, done) {
      calls.push(chunks.map(({ chunk }) => String(chunk)).join(''));
      done();
    },
  });
  return { stream, calls };
}

const turnOfTheLoop = () => new Promise((resolve) => setImmediate(resolve));

describe('a socket that writes once a turn', () => {
  it('passes on what one turn writes in one call, in its order', async () => {
    const { stream, calls } = socket();
    writeOnceATurn(stream);
    for (const text of ['a', 'b', 'c']) stream.write(text);
    expect(calls).toEqual([]);
    await turnOfTheLoop();
    stream.write('d');
    stream.write('e');
    await turnOfTheLoop();
    expect(calls).toEqual(['abc', 'de']);
  });

  it('passes on what was written before its end', async () => {
    const { stream, calls } = socket();
    writeOnceATurn(stream);
    stream.write('a');
    stream.write('b');
    stream.end();
    await turnOfTheLoop();
    expect(calls).toEqual(['ab']);
  });

  it('tells the writer to wait when much is under way, as before', async () => {
    const { stream } = socket();
    writeOnceATurn(stream);
    expect(stream.write(Buffer.alloc(stream.writableHighWaterMark))).toBe(false);
    const drained = new Promise((resolve) => stream.once('drain', resolve));
    await drained;
    expect(stream.write('a')).toBe(true);
  });
});
