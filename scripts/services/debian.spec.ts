/** Before a package is installed as root, one line says so. `--no-install` refuses it. */
import { afterEach, expect, it } from 'vitest';
import { installPackage, noInstall, takeNoInstall } from './debian.js';

afterEach(() => void delete process.env[noInstall.variable]);

it('refuses with --no-install, takes that out of the arguments, and installs nothing', async () => {
  const args = ['--project', 'e2e', noInstall.option];
  takeNoInstall(args);
  expect(args).toEqual(['--project', 'e2e']);
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const install = installPackage('no-such-package', { log: note, warn: note, error: note });
  await expect(install).rejects.toThrow('refused by --no-install');
  expect(lines).toEqual([]);
});
