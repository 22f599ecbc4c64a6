// Builds ../native/mpi.cc, what training on several processes needs, with the machine's MPI compiler; without one it is left out.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(import.meta.url);
const packageRoot = dirname(dirname(script));
const source = join(packageRoot, 'native', 'mpi.cc');
const output = join(packageRoot, 'build', 'native', 'dgconv-mpi.node');
const stamp = `${output}.stamp`;
const headers = dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json'));

// The wrapper of Open MPI calls $OMPI_CXX, that of MPICH $MPICH_CXX.
const { CXX } = process.env;
const env = CXX ? { OMPI_CXX: CXX, MPICH_CXX: CXX, ...process.env } : process.env;
const compiler = spawnSync('mpicxx', ['--version'], { encoding: 'utf8', env });
const hash = createHash('sha256').update(readFileSync(source)).update(readFileSync(script));
const digest = hash.update(`${compiler.stdout} ${CXX} ${process.arch}`).digest('hex');
const isThere = existsSync(output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest;

if (compiler.status !== 0) {
  console.log('trainer: MPI skipped (there is no mpicxx: install openmpi-bin and libopenmpi-dev)');
} else if (!isThere) {
  mkdirSync(dirname(output), { recursive: true });
  rmSync(stamp, { force: true });
  const link = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : [];
  const flags = [
    '-std=c++20',
    '-O2',
    '-Wall',
    '-fno-exceptions',
    '-fno-rtti',
    '-fvisibility=hidden',
    '-shared',
    '-fPIC',
  ];
  const args = [...flags, ...link, `-I${join(headers, 'include')}`, source, '-o', `${output}.tmp`];
  const { status, stderr } = spawnSync('mpicxx', args, { encoding: 'utf8', env });
  if (status === 0) {
    renameSync(`${output}.tmp`, output);
    writeFileSync(stamp, digest);
  } else {
    rmSync(output, { force: true });
    console.error(stderr);
    console.log('trainer: MPI skipped (mpi.cc did not compile: libopenmpi-dev has its headers)');
  }
}
