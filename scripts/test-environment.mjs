// Prints what optional facilities this machine has; nx uses the text as a cache key of the tests, people read it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const version = (command, ...args) => {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0].trim() : 'absent';
};
const facts = {
  node: process.version,
  platform: `${process.platform}-${process.arch}`,
  compiler: version(process.env.CXX ?? 'g++', '--version'),
  'arm64 compiler': version('aarch64-linux-gnu-g++', '--version'),
  'armhf compiler': version('arm-linux-gnueabihf-g++', '--version'),
  qemu: version('qemu-aarch64', '--version'),
  mpi: version('mpirun', '--version'),
  cmake: version('cmake', '--version'),
  chromium: version('chromium', '--version'),
  onnx: version('python3', '-c', 'import onnx; print(onnx.__version__)'),
  'onnx vectors': existsSync('/usr/share/libonnx-testdata/data') ? 'present' : 'absent',
  'tfjs-node': existsSync('node_modules/@tensorflow/tfjs-node/lib/napi-v8/tfjs_binding.node') ? 'present' : 'absent',
  'reference outputs': existsSync('../shared/reference') ? 'present' : 'absent',
};
for (const [name, value] of Object.entries(facts)) console.log(`${name}: ${value}`);
