/** The bound on sessions in memory is one for all partitions. */
import { beforeEach, expect, it } from 'vitest';
import { SessionMemory, type CachedPartition, type CachedSessions } from './session-memory.js';

class Part implements CachedPartition, CachedSessions {
  readonly machine = this;
  isInUse = false;
  constructor(
    public bytes: number,
    private readonly mustStay = 0,
  ) {}
  evict(bytes: number): void {
    this.bytes = Math.max(bytes, this.mustStay);
  }
}

let memory: SessionMemory;
beforeEach(() => (memory = new SessionMemory(100)));
const settled = (...parts: Part[]) => {
  for (const part of parts) memory.add(part);
  memory.settle();
  return parts.map(({ bytes }) => bytes);
};

it('one partition may have all of it', () => {
  expect(settled(new Part(0), new Part(100), new Part(0))).toEqual([0, 100, 0]);
});

it('the partition with the most gives first', () => {
  expect(settled(new Part(30), new Part(90), new Part(10))).toEqual([30, 60, 10]);
});

it('the next one gives what sessions that must stay do not leave', () => {
  expect(settled(new Part(80, 70), new Part(40), new Part(10))).toEqual([70, 20, 10]);
});

it('a partition in the middle of a batch gives nothing', () => {
  const busy = new Part(90);
  busy.isInUse = true;
  expect(settled(busy, new Part(20))).toEqual([90, 10]);
});
