// Packs what `npm install @dgconv/runtime-edge` needs of ours into a folder: node scripts/pack-packages.mjs [FOLDER]
// The core, the runtime with its WebAssembly modules, and for each addon that was built a package of that platform, which the
// runtime names as an optional dependency: npm installs the one that fits, and no install script runs.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { packageFolder } from './engine-sources.mjs';

const target = resolve(process.argv[2] ?? join(packageFolder, 'build/npm'));
mkdirSync(target, { recursive: true });
const work = mkdtempSync(join(tmpdir(), 'dgconv-pack-'));

function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${stderr}`);
  return stdout.trim();
}
/** Packs a folder and gives the archive's path. */
const pack = (folder, destination) =>
  join(destination, run('npm', ['pack', folder, '--silent', '--ignore-scripts', '--pack-destination', destination]));
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const licence = join(packageFolder, '../../LICENSE');
/** Packs what npm would publish of a folder, so that the list of files is written down once, with the licence and more in its manifest. */
function packWithLicence(folder, name, more) {
  const staged = join(work, name);
  mkdirSync(staged);
  run('tar', ['xzf', pack(folder, staged), '-C', staged]);
  const manifest = join(staged, 'package/package.json');
  writeFileSync(manifest, JSON.stringify({ ...readJson(manifest), ...more }, null, 2));
  copyFileSync(licence, join(staged, 'package/LICENSE'));
  return pack(join(staged, 'package'), target);
}

try {
  const { version, license } = readJson(join(packageFolder, 'package.json'));
  const archives = [packWithLicence(join(packageFolder, '../dgconv-core'), 'core', {})];
  const optionalDependencies = {};
  const addons = { [`${process.platform}-${process.arch}`]: 'build/native', 'linux-arm64': 'build/arm64' };
  for (const [platform, folder] of Object.entries(addons)) {
    const addon = join(packageFolder, folder, 'dgconv_edge.node');
    if (!existsSync(addon)) continue;
    const [os, cpu] = platform.split('-');
    const name = `@dgconv/runtime-edge-${platform}`;
    const staged = join(work, platform);
    mkdirSync(staged);
    copyFileSync(addon, join(staged, 'dgconv_edge.node'));
    copyFileSync(licence, join(staged, 'LICENSE'));
    const description = `The engine of @dgconv/runtime-edge for ${platform}.`;
    const libc = os === 'linux' ? { libc: ['glibc'] } : {};
    const manifest = { name, version, description, license, main: 'dgconv_edge.node', os: [os], cpu: [cpu], ...libc };
    writeFileSync(join(staged, 'package.json'), JSON.stringify(manifest, null, 2));
    archives.push(pack(staged, target));
    optionalDependencies[name] = version;
  }
  archives.push(packWithLicence(packageFolder, 'runtime-edge', { optionalDependencies }));
  console.log(archives.join('\n'));
} finally {
  rmSync(work, { recursive: true, force: true });
}
