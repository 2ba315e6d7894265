/**
 * The transport of the Nest microservice: hands every frame to the one handler of the pattern `frame`, in the
 * order of arrival. The handler is looked up once, since a lookup for every message costs more than the
 * message.
 */
import { Server, type CustomTransportStrategy, type MessageHandler } from '@nestjs/microservices';
import type { HolderFrame } from '#protocol';
import type { Store } from '#store';

export const framePattern = 'frame';

/**
 * The handler gets it beside the frame. It must call `accept` with the frame, once, and before it awaits
 * anything.
 */
export class FrameContext {
  constructor(readonly accept: (frame: HolderFrame) => void) {}
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
    this.store.start((frame, accept) => this.hand(handler, frame, accept)).then(() => callback(), callback);
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

  private hand(handler: MessageHandler, frame: HolderFrame, accept: (frame: HolderFrame) => void): void {
    handler(frame, new FrameContext(accept)).catch((error: unknown) => this.handleError(String(error)));
  }
}
