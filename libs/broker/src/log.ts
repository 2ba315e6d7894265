/** The log of drivers and adapters. A Nest `Logger` fits. */
export interface Log {
  log(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** The same log, which never throws. A failing logger of the application must not stop the caller. */
export function calmLog(log: Log): Log {
  const calm = (level: keyof Log) => (message: string) => {
    try {
      log[level](message);
    } catch {
      // There is no other log.
    }
  };
  return { log: calm('log'), warn: calm('warn'), error: calm('error') };
}
