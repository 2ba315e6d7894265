/**
 * A request and its answer, around the session. The head of the answer leaves when what was changed so far is
 * durable. Its end leaves when all is. An answer whose changes are refused is replaced by an error, or cut
 * off when its head has left.
 */
import type { ServerResponse } from 'node:http';
import type { Log } from '#broker';
import { ResponseHead, type HeldHead } from '#locked-session';
import { forExpress } from './answers.js';
import type { SessionRequest, Settings } from './options.js';
import type { RequestSession } from './request-session.js';

export type Next = (error?: unknown) => void;

/** What belongs to one call of the middleware. */
export interface Call {
  readonly request: SessionRequest;
  readonly response: ServerResponse;
  readonly next: Next;
  /** Names the request in the log. */
  readonly label: string;
}

export class Exchange implements HeldHead {
  private readonly head: ResponseHead;
  private aborter: AbortController | undefined;
  private hasEntered = false;
  /** The answer is complete, or will never be. */
  private isEnding = false;
  private isFinishing = false;
  private lettingGo: Promise<void> | undefined;
  private end!: () => void;
  private readonly ended = new Promise<void>((end) => (this.end = end));

  constructor(
    private readonly its: Call,
    private readonly session: RequestSession,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {
    this.head = new ResponseHead(its.response, () => session.cookieLine());
  }

  /** Enters the session, and goes on to the application. */
  async begin(): Promise<void> {
    const { response, next } = this.its;
    response.once('close', () => this.closed());
    try {
      await this.session.enter(() => (this.aborter ??= new AbortController()).signal);
    } catch (error) {
      if (this.isOver) return;
      this.log.warn(`${this.its.label}: ${String(error)}`);
      return next(forExpress(error));
    }
    if (this.isOver) return this.session.drop();
    this.hasEntered = true;
    this.head.hold(this);
    this.session.inside(() => next());
  }

  /** A part of the answer is written, and the application goes on. It may wait for the part to leave. */
  onUrgent(): void {
    if (!this.isEnding && !this.session.headHasLeft) void this.headLeaves();
  }

  /** The session's own errors alone replace an answer. */
  givesWay(): boolean {
    return false;
  }

  onEnd(): void {
    if (this.isFinishing) return; // some call end() twice
    this.isFinishing = true;
    this.isEnding = true;
    void this.finish();
  }

  /** Nobody waits for the answer any more, or it was given by others while this request waited. */
  private get isOver(): boolean {
    const { response } = this.its;
    return response.destroyed || response.closed || response.writableEnded;
  }

  private async headLeaves(): Promise<void> {
    try {
      await this.session.commitSoFar();
    } catch (error) {
      return this.refuse(error);
    }
    // What the end of the answer waits for is enough for its head.
    if (this.isEnding) return;
    this.head.releaseHead(this);
    this.session.headHasLeft = true;
    const { streamMs } = this.settings;
    await this.settings.sessions.atMost(streamMs, this.ended);
    await this.letGo(`it was still answering ${streamMs} ms after the head of its answer`);
  }

  private async finish(): Promise<void> {
    await this.lettingGo;
    try {
      await this.session.conclude(this.its.response.statusCode);
    } catch (error) {
      return this.refuse(error);
    }
    this.head.release();
    this.end();
    await this.left();
  }

  private async refuse(error: unknown): Promise<void> {
    const { label, next } = this.its;
    this.isEnding = true;
    this.log.warn(`${label}: ${String(error)}`);
    await this.session.drop();
    this.end();
    if (this.session.headHasLeft) return this.head.cut();
    this.head.discard();
    if (!this.its.response.destroyed) next(forExpress(error));
  }

  /** The client has its answer, or has gone. */
  private closed(): void {
    this.aborter?.abort();
    if (!this.hasEntered || this.isEnding) return;
    if (this.session.headHasLeft) void this.letGo();
    else void this.awaitHandler();
  }

  /** The handler goes on, and what it changes is kept. */
  private async awaitHandler(): Promise<void> {
    const { goneMs } = this.settings;
    await this.settings.sessions.atMost(goneMs, this.ended);
    await this.letGo(`it has not answered ${goneMs} ms after its client had gone`);
  }

  /** Keeps what was changed, and leaves the lock, though the answer is not complete. */
  private letGo(why?: string): Promise<void> {
    if (this.isEnding) return Promise.resolve();
    this.lettingGo ??= this.concludeEarly(why);
    return this.lettingGo;
  }

  private async concludeEarly(why: string | undefined): Promise<void> {
    const { label, response } = this.its;
    if (why !== undefined) this.log.warn(`${label} has lost the lock on its session, since ${why}`);
    try {
      await this.session.conclude(response.statusCode);
      await this.left();
    } catch (error) {
      this.log.warn(`${label}: ${String(error)}`);
      await this.session.drop();
    }
    this.end();
  }

  private async left(): Promise<void> {
    try {
      await this.session.leave();
    } catch (error) {
      this.log.warn(`${this.its.label}: ${String(error)}`);
    }
  }
}
