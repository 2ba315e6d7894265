/** The benchmark's end of one app server, which runs member.ts. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { root } from '../../scripts/processes/processes.js';
import type { Place } from './contest.js';
import type { ContestantName } from './contestants/contestants.js';
import type { Order } from './member.js';

export class Member {
  private readonly ended: Promise<[{ error: string }]>;

  private constructor(private readonly child: ChildProcess) {
    this.ended = once(child, 'exit').then(() => [{ error: 'the process has ended' }]);
  }

  static async start(contestant: ContestantName, place: Place): Promise<Member> {
    const script = join(root, 'dist/test/bench/member.js');
    const child = fork(script, [contestant, JSON.stringify(place)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production' },
    });
    const member = new Member(child);
    await member.answer();
    return member;
  }

  get pid(): number {
    return this.child.pid!;
  }

  async ask<T>(order: Order): Promise<T> {
    const answer = this.answer();
    this.child.send(order);
    return (await answer) as T;
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null) return;
    await this.ask({ do: 'close' }).catch(() => {});
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }

  private async answer(): Promise<unknown> {
    const [answer] = (await Promise.race([once(this.child, 'message'), this.ended])) as [
      { result?: unknown; error?: string },
    ];
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result;
  }
}
