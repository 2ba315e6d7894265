/**
 * The transport of the Nest microservice: hands all frames of a turn of the event loop to the one handler of
 * the pattern `frames`, in the order of arrival. The handler is looked up once, since a lookup for every call
 * costs more than a frame.
 */
import { Server, type CustomTransportStrategy, type MessageHandler } from '@nestjs/microservices';
import type { HolderFrame } from '#protocol';
import type { Dispatch, Store } from '#store';

export const framePattern = 'frames';

/**
 * The handler gets it beside the frames. It must call `accept` with those that count, once, and before it
 * awaits anything.
 */
export class FrameContext {
  constructor(readonly accept: (frames: readonly HolderFrame[]) => void) {}
}

export class FrameServer extends Server implements CustomTransportStrategy {
  constructor(private readonly store: Store) {
    super();
  }

  /** Calls back when the store is in the queue for every partition. */
  listen(callback: (error?: unknown) => void): void {
    const handler = this.getHandlerByPattern(framePattern);
    if (!handler) {
      callback(new Error(`no handler for the pattern '${framePattern}': import StoreModule`));
      return;
    }
    const dispatch: Dispatch = (frames, accept) => this.hand(handler, frames, new FrameContext(accept));
    this.store.start(dispatch).then(() => callback(), callback);
  }

  /** Finishes the batches under way before the links close. */
  async close(): Promise<void> {
    await this.store.stop();
  }

  override on(): never {
    throw new Error('the store has no events to listen to');
  }

  override unwrap<T>(): T {
    return this.store as T;
  }

  private hand(handler: MessageHandler, frames: readonly HolderFrame[], context: FrameContext): void {
    handler(frames, context).catch((error: unknown) => this.handleError(String(error)));
  }
}
