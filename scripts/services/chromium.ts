/**
 * Finds a Chromium for the tests of a page: the one that CHROMIUM names, an installed one, or one that is
 * installed now. The tests of the page need one.
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Log } from '#broker';
import { installPackage } from './debian.js';

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome'];
const places = [
  '/usr/bin/chromium',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Flags for a browser without a screen that connects to no other host. */
export const chromiumFlags = [
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), // Chromium has no sandbox for root
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The machine, or another one in the tests of this file. */
const thisMachine = { env: process.env, places, install: installPackage };

/** The path of the program. Rejects with a remedy when there is none and none can be installed. */
export async function findChromium(log: Log, machine: typeof thisMachine = thisMachine): Promise<string> {
  const named = machine.env.CHROMIUM;
  if (named) {
    if (await isProgram(named)) return named;
    throw new Error(`CHROMIUM is '${named}', but no program is there`);
  }
  const found = await installed(machine);
  if (found) return found;
  try {
    await machine.install('chromium', log);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Error(`No Chromium was found, and none could be installed: ${why}\n${REMEDIES}`, { cause });
  }
  const brought = await installed(machine);
  if (!brought) throw new Error(`The package chromium was installed, but brought no program.\n${REMEDIES}`);
  return brought;
}

const REMEDIES = `Do one of these, and try again:
  - install it: apt-get install chromium, brew install --cask chromium, or https://www.google.com/chrome
  - name one that is elsewhere: CHROMIUM=/path/to/chromium`;

async function installed({ env, places }: typeof thisMachine): Promise<string | undefined> {
  const folders = (env.PATH ?? '').split(delimiter).filter(Boolean);
  const paths = [...folders.flatMap((folder) => names.map((name) => join(folder, name))), ...places];
  for (const path of paths) if (await isProgram(path)) return path;
  return undefined;
}

const isProgram = (path: string) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
