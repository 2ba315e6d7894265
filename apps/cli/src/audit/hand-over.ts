/**
 * How the processes of an audited application hand over their counts: a file for each process, in a directory
 * that is named by a variable of the environment.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { MeterReport } from '#meter';

export const auditVariable = 'LOCKED_SESSION_AUDIT';

export interface AuditOrder {
  readonly directory: string;
  readonly maxRoutes: number;
}

export interface HandedOver {
  readonly report: MeterReport;
  /** Stores with a meter. */
  readonly stores: number;
  /** Why others have none. */
  readonly refused: readonly string[];
}

/** Most processes whose counts are read. */
const maxFiles = 10_000;

/** The file of this process. It may be written several times. */
export const handOverFile = ({ directory }: AuditOrder): string => join(directory, `${randomUUID()}.json`);

export const handOver = (file: string, counts: HandedOver): void =>
  writeFileSync(file, JSON.stringify(counts), { mode: 0o600 });

/** A process that was killed while it wrote has left a file that is not whole, and does not count. */
export function takeOver({ directory }: AuditOrder): HandedOver[] {
  return readdirSync(directory)
    .slice(0, maxFiles)
    .flatMap((name) => {
      try {
        return [JSON.parse(readFileSync(join(directory, name), 'utf8')) as HandedOver];
      } catch {
        return [];
      }
    });
}
