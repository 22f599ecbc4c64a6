// Gives @tensorflow/tfjs-node its native library without the download that its own installer needs: the TensorFlow C
// library comes out of PyPI's wheel `tensorflow-cpu`. For air-gapped machines with a PyPI mirror, and for CI.
// Usage: node scripts/install-tfjs-node.mjs   (needs python3 with pip, a C++ compiler, Node's headers; Linux x64)
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

const TENSORFLOW = '2.15.1'; // the newest release whose C API tfjs-node 4.22 links against

const fail = (message) => {
  console.error(`install-tfjs-node: ${message}`);
  process.exit(1);
};
const run = (command, args, options = {}) => {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], ...options });
  if (error || status !== 0)
    fail(`${command} ${args[0]} failed${error ? `: ${error.message}` : ` with status ${status}`}`);
};

if (process.platform !== 'linux' || process.arch !== 'x64')
  fail(`only linux-x64 is supported, this is ${process.platform}-${process.arch}`);
const require = createRequire(new URL('../packages/trainer/package.json', import.meta.url));
let root;
try {
  root = dirname(require.resolve('@tensorflow/tfjs-node/package.json'));
} catch {
  fail('@tensorflow/tfjs-node is not installed; run npm ci first');
}
if (existsSync(join(root, 'lib/napi-v8/tfjs_binding.node'))) {
  console.log('tfjs-node already has its binding');
  process.exit(0);
}
const wheelFolder = join(root, 'deps/wheel');
rmSync(join(root, 'deps'), { recursive: true, force: true });
mkdirSync(wheelFolder, { recursive: true });
run('python3', [
  '-m',
  'pip',
  'download',
  '--quiet',
  '--no-deps',
  '--dest',
  wheelFolder,
  `tensorflow-cpu==${TENSORFLOW}`,
]);
const wheel = readdirSync(wheelFolder).find((name) => name.endsWith('.whl')) ?? fail('pip downloaded no wheel');
run('python3', ['-m', 'zipfile', '-e', join(wheelFolder, wheel), wheelFolder]);
rmSync(join(wheelFolder, wheel));

const lib = join(root, 'deps/lib');
mkdirSync(lib, { recursive: true });
const link = (source, name) => symlinkSync(relative(lib, join(wheelFolder, 'tensorflow', source)), join(lib, name));
for (const name of ['libtensorflow.so', 'libtensorflow.so.2', 'libtensorflow_cc.so.2'])
  link('libtensorflow_cc.so.2', name);
for (const name of ['libtensorflow_framework.so', 'libtensorflow_framework.so.2'])
  link('libtensorflow_framework.so.2', name);
symlinkSync('wheel/tensorflow/include', join(root, 'deps/include'));

const nodePrefix = dirname(dirname(process.execPath));
const headers = existsSync(join(nodePrefix, 'include/node/node_api.h')) ? [`--nodedir=${nodePrefix}`] : [];
run(
  'npx',
  [
    '--yes',
    'node-gyp',
    'rebuild',
    ...headers,
    '--module_name=tfjs_binding',
    `--module_path=${join(root, 'lib/napi-v8')}`,
    '--napi_build_version=8',
    '--napi_version=8',
  ],
  { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] },
);
console.log(`tfjs-node now runs on TensorFlow ${TENSORFLOW}`);
