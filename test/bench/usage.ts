/**
 * What the processes of a contest use, as Linux tells it: CPU time, and the most memory they ever had.
 * Elsewhere nothing is known, and the figures leave it out.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';

/** Linux counts CPU time in hundredths of a second. */
const msPerTick = 10;
const ownFields = 2;
const [userTime, systemTime] = [11, 12];

/** The CPU time of a process so far, in milliseconds. */
export async function cpuMs(pid: number): Promise<number | undefined> {
  const stat = await textOf(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name of the program stands in parentheses, and may have any characters.
  const fields = stat.slice(stat.lastIndexOf(')') + ownFields).split(' ');
  return (Number(fields[userTime]) + Number(fields[systemTime])) * msPerTick;
}

/** The most memory that a process has had since its start, in MB. */
export async function peakMb(pid: number): Promise<number | undefined> {
  const status = await textOf(`/proc/${pid}/status`);
  const kib = status && /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
  return kib ? (Number(kib) * 1_024) / 1e6 : undefined;
}

/** The process of this machine that listens on a port of the loopback interface. */
export async function pidListeningOn(port: number): Promise<number | undefined> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((table) => textOf(`/proc/net/${table}`)));
  const inodes = new Set(tables.flatMap((table) => listenersIn(table ?? '', port)));
  if (inodes.size === 0) return undefined;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      if (inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? '')) return Number(pid);
    }
  }
  return undefined;
}

/** The inodes of the sockets in a table of /proc/net that listen on the port. */
export function listenersIn(table: string, port: number): string[] {
  const listens = '0A';
  const sought = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === listens && local?.endsWith(sought))
    .map((fields) => fields[9]!);
}

const textOf = (path: string) => readFile(path, 'utf8').catch(() => undefined);
