/** What drivers and adapters write their log lines to. A Nest `Logger` fits. */
export interface Log {
  log(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
