import test from 'ava';
import { execFile, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { testEngines } from './testing/engines.js';

const file = fileURLToPath(new URL('../../test-data/format-1.0.edge', import.meta.url));
const script = fileURLToPath(new URL('../../scripts/pack-packages.mjs', import.meta.url));
const here = `${process.platform}-${process.arch}`;
const noTar = spawnSync('tar', ['--version']).status === 0 ? '' : ' (there is no tar)';

/** What a folder's files take of a disk that is cut into blocks of 4 KiB. */
const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce((sum, name) => {
    const facts = lstatSync(join(folder, name));
    return sum + (facts.isFile() ? Math.ceil(facts.size / 4096) * 4096 : 0);
  }, 0);

(noTar === '' ? test : test.skip)(
  `what npm installs is at most 5 MB, needs nothing from outside, and runs for import and for require${noTar}`,
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-npm-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const { stdout } = await promisify(execFile)(process.execPath, [script, join(folder, 'archives')]);
    // As npm would lay it out, without asking a registry.
    const modules = join(folder, 'node_modules');
    for (const archive of stdout.trim().split('\n')) {
      const name = /^dgconv-(.+)-\d+\.\d+\.\d+\.tgz$/.exec(basename(archive))![1]!;
      const isOther = /^runtime-edge-./.test(name) && name !== `runtime-edge-${here}`;
      if (isOther) continue;
      const place = join(modules, '@dgconv', name);
      mkdirSync(place, { recursive: true });
      t.is(spawnSync('tar', ['xzf', archive, '-C', place, '--strip-components=1']).status, 0);
      const { scripts = {} } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')) as { scripts?: object };
      t.false(Object.keys(scripts).some((key) => /install$/.test(key)));
      t.true(existsSync(join(place, 'LICENSE')), name);
    }
    const common = join(dirname(createRequire(import.meta.url).resolve('onnxruntime-common')), '../..');
    t.is(
      (JSON.parse(readFileSync(join(common, 'package.json'), 'utf8')) as { name: string }).name,
      'onnxruntime-common',
    );
    const size = sizeOf(modules) + sizeOf(common);
    symlinkSync(realpathSync(common), join(modules, 'onnxruntime-common'));
    t.true(size < 5e6, `${size} bytes`);
    t.true(size > 1e6);

    const body = `EdgeSession.load(${JSON.stringify(file)}).then((session) => {
      const feeds = Object.fromEntries(session.inputs.map(({ name, shape }) => [name, new Float32Array(shape.reduce((a, b) => a * b, 1))]));
      return session.runAsync(feeds).then(() => console.log(session.engine), (error) => { console.error(error); process.exitCode = 1; });
    });`;
    for (const [type, load] of [
      ['module', `import { EdgeSession } from '@dgconv/runtime-edge';`],
      ['commonjs', `const { EdgeSession } = require('@dgconv/runtime-edge');`],
    ] as const) {
      const run = spawnSync(process.execPath, [`--input-type=${type}`, '-e', `${load}\n${body}`], {
        cwd: folder,
        encoding: 'utf8',
      });
      t.is(run.stdout.trim(), testEngines.includes('native') ? 'native' : 'wasm', run.stderr);
    }
  },
);
