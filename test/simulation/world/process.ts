/**
 * A process on virtual time. Its clocks run a little fast or slow, and it can be stopped, suspended or
 * killed. Tasks that come while it is stopped run in order when it continues. A dead process runs no task.
 */
import type { Clock } from '#broker';
import type { World } from './world.js';

export class Process {
  /** Resolves when the process is killed. */
  readonly killed: Promise<void>;
  private tellKilled!: () => void;
  private state: 'running' | 'stopped' | 'dead' = 'running';
  private late: (() => void)[] = [];
  /**
   * How long the machine was suspended. Meanwhile its monotonic clock stood still, and the wall clock did
   * not.
   */
  private suspendedMs = 0;

  constructor(
    readonly world: World,
    readonly name: string,
    /** How fast its clocks run: 1 is right. */
    private readonly rate = 1,
  ) {
    this.killed = new Promise((resolve) => (this.tellKilled = resolve));
  }

  readonly clock: Clock = {
    now: () => ({
      mono: (this.world.time - this.suspendedMs) * this.rate,
      wall: 1_700_000_000_000 + this.world.time * this.rate,
    }),
    soon: (task) => void this.after(0, task),
    afterPromises: (task) => this.world.next(() => this.run(task)),
    after: (delayMs, task) => this.after(delayMs, task),
    keepAlive: () => () => {},
  };

  get isDead(): boolean {
    return this.state === 'dead';
  }

  get isRunning(): boolean {
    return this.state === 'running';
  }

  /** Runs the task now, when the process continues, or never. */
  run(task: () => void): void {
    if (this.state === 'running') task();
    else if (this.state === 'stopped') this.late.push(task);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }

  /** Stops the process for a while (SIGSTOP), or suspends its machine with its monotonic clock. */
  stop(ms: number, suspended: boolean): void {
    if (this.state !== 'running') return;
    this.world.trace(`${this.name}: ${suspended ? 'suspended' : 'stopped'} for ${Math.round(ms)} ms`);
    this.state = 'stopped';
    this.world.after(ms, () => {
      if (this.state !== 'stopped') return;
      this.world.trace(`${this.name}: goes on`);
      if (suspended) this.suspendedMs += ms;
      this.state = 'running';
      this.catchUp();
    });
  }

  kill(): void {
    if (this.state === 'dead') return;
    this.world.trace(`${this.name}: killed`);
    this.state = 'dead';
    this.late = [];
    this.tellKilled();
  }

  private after(delayMs: number, task: () => void): () => void {
    let cancelled = false;
    const once = () => {
      if (!cancelled) task();
    };
    // No timer is finer. Otherwise rounding might fire one again and again just before its time.
    const leastMs = delayMs > 0 ? 0.01 : 0;
    this.world.after(Math.max(leastMs, delayMs / this.rate), () => this.run(once));
    return () => (cancelled = true);
  }

  /** One task in each turn of the event loop. */
  private catchUp(): void {
    const task = this.late.shift();
    if (!task) return;
    if (this.late.length > 0) this.world.after(0, () => this.run(() => this.catchUp()));
    task();
  }
}
