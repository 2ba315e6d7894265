/**
 * The parties in the broker's contract, with servers and clients that record their calls, so that a test can
 * await them. Frames are short texts here.
 */
import { afterEach, beforeEach } from 'vitest';
import type {
  Broker,
  Delivery,
  HolderClient,
  HolderLink,
  PartitionLink,
  PartitionServer,
  StoreLink,
  StoreServer,
} from '#broker';

export interface ExchangeUnderTest {
  /** Another process with its own connection. */
  party(): Promise<Party>;
  /** Closes all parties and deletes their queues. */
  stop(): Promise<void>;
}

export interface Party {
  readonly broker: Broker;
  /** Cuts the connection. The broker connects again. */
  cut(): void;
}

export type MakeExchange = (options: { maxQueuedFrames: number }) => Promise<ExchangeUnderTest>;

export const MAX_QUEUED_FRAMES = 1_000;
export const PARTITION = 3;
export const OTHER_PARTITION = 4;

export interface Served {
  readonly party: Party;
  readonly server: RecordingServer;
  /** Its frames leave by the link of the store. */
  readonly link: PartitionLink & Pick<StoreLink, 'send'>;
  readonly store: RecordingStore;
}

export interface Opened {
  readonly party: Party;
  readonly store: RecordingStore;
  readonly link: StoreLink;
}

export interface Joined {
  readonly party: Party;
  readonly client: RecordingClient;
  readonly link: HolderLink;
}

/** Gives each test an exchange of its own, and functions that add parties. */
export function stage(makeExchange: MakeExchange) {
  let exchange: ExchangeUnderTest;
  beforeEach(async () => {
    exchange = await makeExchange({ maxQueuedFrames: MAX_QUEUED_FRAMES });
  });
  afterEach(() => exchange.stop());

  return {
    newParty: () => exchange.party(),

    /** A party that serves a partition: the given one or a new one. */
    async serve(options: { party?: Party; partition?: number; prefetch?: number } = {}): Promise<Served> {
      const { party = await exchange.party(), partition = PARTITION, prefetch = 1_000 } = options;
      const [server, store] = [new RecordingServer(), new RecordingStore()];
      const own = await party.broker.openStore({ prefetch: 1 }, store);
      const link = await party.broker.serve(partition, { prefetch }, server);
      const send = (queue: string, frame: Uint8Array) => own.send(queue, frame);
      const both = {
        send,
        echo: (mark: number) => link.echo(mark),
        openQueue: (session: string) => link.openQueue(session),
        closeQueue: (session: string) => link.closeQueue(session),
        abandon: () => link.abandon(),
        close: () => link.close(),
      };
      return { party, server, store, link: both };
    },

    /** A party that is a store with its own queue. */
    async open(options: { party?: Party; prefetch?: number } = {}): Promise<Opened> {
      const { party = await exchange.party(), prefetch = 1_000 } = options;
      const store = new RecordingStore();
      const link = await party.broker.openStore({ prefetch }, store);
      await store.until(() => store.keys.length === 1);
      return { party, store, link };
    },

    /** A party that is a connected holder. */
    async join(holder = 'h1', joining?: Party): Promise<Joined> {
      const party = joining ?? (await exchange.party());
      const client = new RecordingClient();
      const link = await party.broker.join(holder, client);
      await client.until(() => client.queues.length === 1);
      return { party, client, link };
    },
  };
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The texts of the numbers from `first` to `last`. */
export const frames = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, i) => String(first + i));

const text = (frame: Uint8Array): string => new TextDecoder().decode(frame);

abstract class Recorder {
  /** All calls in order: a frame as its text, another call as its name. */
  readonly events: string[] = [];
  readonly frames: string[] = [];
  readonly #waiting = new Set<() => void>();
  #failure: { error: unknown } | undefined;

  /** Resolves when a call makes `condition` true. Rejects when an expectation of a hook failed. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.#failure) reject(this.#failure.error);
        else if (condition()) resolve();
        else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
  }

  protected told(event: string, hook: () => void): void {
    this.events.push(event);
    try {
      hook();
    } catch (error) {
      this.#failure ??= { error };
    }
    for (const look of this.#waiting) look();
  }
}

export class RecordingServer extends Recorder implements PartitionServer {
  readonly deliveries: Delivery[] = [];
  lostTurns = 0;
  onFrame: (delivery: Delivery) => void = () => {};
  onLost: () => void = () => {};

  received(delivery: Delivery): void {
    this.deliveries.push(delivery);
    const frame = text(delivery.bytes);
    this.frames.push(frame);
    this.told(frame, () => this.onFrame(delivery));
  }

  lost(): void {
    this.lostTurns++;
    this.told('lost', () => this.onLost());
  }

  queueGone(session: string): void {
    this.told(`gone ${session}`, () => {});
  }

  echoed(mark: number): void {
    this.told(`echo ${mark}`, () => {});
  }
}

export class RecordingStore extends Recorder implements StoreServer {
  readonly deliveries: Delivery[] = [];
  readonly keys: string[] = [];
  readonly unreached: string[] = [];
  onFrame: (delivery: Delivery) => void = () => {};

  get key(): string {
    return this.keys.at(-1) ?? 'not open yet';
  }

  opened(key: string): void {
    this.keys.push(key);
    this.told('opened', () => {});
  }

  closed(): void {
    this.told('closed', () => {});
  }

  received(delivery: Delivery): void {
    this.deliveries.push(delivery);
    const frame = text(delivery.bytes);
    this.frames.push(frame);
    this.told(frame, () => this.onFrame(delivery));
  }

  unreachable(queue: string): void {
    this.unreached.push(queue);
    this.told(`unreachable ${queue}`, () => {});
  }

  echoed(partition: number, mark: number): void {
    this.told(`echo ${partition} ${mark}`, () => {});
  }
}

export class RecordingClient extends Recorder implements HolderClient {
  readonly queues: string[] = [];
  onConnected: () => void = () => {};
  onDisconnected: () => void = () => {};
  onFrame: (frame: Uint8Array) => void = () => {};

  get queue(): string {
    return this.queues.at(-1) ?? 'not connected yet';
  }

  connected(queue: string): void {
    this.queues.push(queue);
    this.told('connected', () => this.onConnected());
  }

  disconnected(): void {
    this.told('disconnected', () => this.onDisconnected());
  }

  returned(key: string): void {
    this.told(`returned ${key}`, () => {});
  }

  received(frame: Uint8Array): void {
    const decoded = text(frame);
    this.frames.push(decoded);
    this.told(decoded, () => this.onFrame(frame));
  }
}
