/**
 * The hard limits of the protocol. They hold whatever the settings of either side are. A frame that breaks
 * one does not parse.
 */
export const limits = {
  /** Bytes of one frame. */
  frameBytes: 8 * 1024 * 1024,
  /** Messages in one frame, in all its parts together. */
  frameMessages: 16_384,
  /** Parts of one frame. There are as many partitions at most. */
  frameParts: 1_024,
  /** A sender begins another frame after this many bytes. So a frame stays well below `frameBytes`. */
  frameTargetBytes: 256 * 1024,
  /** Characters of a session's id, of a holder's id and of a queue's name. */
  idChars: 128,
  queueChars: 255,
  /** Characters of an attribute's name. */
  nameChars: 128,
  /** Attributes of one session. */
  attributes: 4_096,
  /** Bytes of one attribute's value, and of all values of a session. */
  valueBytes: 1024 * 1024,
  sessionBytes: 4 * 1024 * 1024,
  /**
   * The longest wait, in milliseconds (rule 2). RabbitMQ's acknowledgement time-out of 30 minutes bounds it.
   */
  waitMs: 600_000,
  /**
   * The highest count that a frame may bring, alone or in a token or version. As many counts above it can
   * still be sent.
   */
  count: 2 ** 52,
  /** Entries of a list in a renewal or its answer. */
  listed: 4_096,
} as const;
