/** Finding a Chromium on machines that have one, have none, or can install one. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findChromium } from './chromium.js';

const silent = { log() {}, warn() {}, error() {} };
let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'chromium-spec-'))));
afterEach(() => rm(folder, { recursive: true }));

/** A machine with only `folder` in its PATH. */
const machine = (
  more: { env?: NodeJS.ProcessEnv; places?: string[]; install?: () => Promise<void> } = {},
) => ({
  env: { PATH: ['/no/such/folder', folder].join(delimiter), ...more.env },
  places: more.places ?? [],
  install: more.install ?? (() => Promise.reject(new Error('only done for root'))),
});

const program = async (name: string) => {
  const path = join(folder, name);
  await writeFile(path, '#!/bin/sh\n', { mode: 0o755 });
  return path;
};

it('takes the one that is in the PATH, or else in its usual place', async () => {
  const place = await program('Google Chrome');
  expect(await findChromium(silent, machine({ places: ['/no/such/program', place] }))).toBe(place);
  const path = await program('google-chrome');
  expect(await findChromium(silent, machine({ places: [place] }))).toBe(path);
});

it('takes the one that CHROMIUM names, and no other when that is not there', async () => {
  const [other, named] = [await program('chromium'), await program('mine')];
  expect(await findChromium(silent, machine({ env: { CHROMIUM: named } }))).toBe(named);
  const wrong = findChromium(silent, machine({ env: { CHROMIUM: `${other}-not` } }));
  await expect(wrong).rejects.toThrow(`CHROMIUM is '${other}-not', but no program is there`);
});

it('installs one where there is none', async () => {
  const found = findChromium(silent, machine({ install: async () => void (await program('chromium')) }));
  expect(await found).toBe(join(folder, 'chromium'));
});

it('says why none could be installed, and what to do', async () => {
  const found = findChromium(silent, machine());
  await expect(found).rejects.toThrow(
    /none could be installed: only done for root\n[^]*apt-get install chromium/,
  );
});
