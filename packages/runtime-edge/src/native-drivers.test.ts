import test from 'ava';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const cxx = process.env['CXX'] ?? 'g++';
const why = (flag: string): string | null => {
  const { status } = spawnSync(cxx, [flag, '-x', 'c++', '-', '-o', '/dev/null'], { input: 'int main() { return 0; }' });
  return status === 0 ? null : `skipped: ${cxx} ${flag} does not work here`;
};
const script = (name: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, [fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url)), ...args]);

const noThread = why('-fsanitize=thread');
(noThread === null ? test : test.skip)(
  `pools and sessions that threads share give what one thread gives, and ThreadSanitizer finds nothing${noThread === null ? '' : ` (${noThread})`}`,
  async (t) => {
    const { stdout } = await script('test-threads.mjs');
    t.regex(stdout, /^0 failures with 1 files$/m);
  },
);

const noAddress = why('-fsanitize=address,undefined');
(noAddress === null ? test : test.skip)(
  `twenty thousand mutated files are refused or run, and ASan and UBSan find nothing${noAddress === null ? '' : ` (${noAddress})`}`,
  async (t) => {
    const { stdout } = await script('fuzz.mjs', '20000', '1');
    const [, loaded, ran] = /^\d+ mutants, (\d+) loaded, (\d+) ran, .* no finding$/m.exec(stdout) ?? [];
    t.true(Number(loaded) > 2000 && Number(ran) > 2000, stdout);
  },
);

const library = fileURLToPath(new URL('../native/libdgconv_edge.a', import.meta.url));
const noLibrary = process.platform === 'linux' && existsSync(library) ? null : 'skipped: there is no static library';
(noLibrary === null ? test : test.skip)(
  `a run of every op asks for no memory, with one thread and with three${noLibrary === null ? '' : ` (${noLibrary})`}`,
  async (t) => {
    const { stdout } = await script('test-allocations.mjs');
    t.is([...stdout.matchAll(/^\d+ calls while loading, 0 in three runs$/gm)].length, 2, stdout);
  },
);
