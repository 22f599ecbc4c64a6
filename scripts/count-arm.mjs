// Instructions per multiply-add of four lanes on ARM, counted under qemu-user, which makes them the same on every machine:
//   node scripts/count-arm.mjs [--networks] [--armhf] [--only TEXT] [--check] [--json] [FILE.edge…]
// Of the main kernels on arm64, beside ONNX Runtime's library on the same convolutions and the cycles that llvm-mca gives the
// innermost loop; --armhf: of ours on 32-bit ARM; --networks: of whole networks instead; --only: of those whose names contain it;
// --check: exits with 1 if one is above its limit (of arm64), and counts only ours.
// Multiply-adds on zero padding do not count as work.
import { executedMacsOf, suiteNamed } from '@dgconv/bench';
import { compile, emitters } from '@dgconv/compiler';
import { GraphBuilder, initialWeights, mapSource } from '@dgconv/core';
import { decodeEdge } from '@dgconv/runtime-edge';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  cyclesOf,
  disassemble,
  hottestLoop,
  missingForCounting,
  openCounter,
  openOnnxRuntime,
} from './arm-counter.mjs';

const { values: flags, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    networks: { type: 'boolean' },
    armhf: { type: 'boolean' },
    only: { type: 'string' },
    check: { type: 'boolean' },
    json: { type: 'boolean' },
  },
});
const target = flags.armhf ? 'armhf' : 'arm64';
const missing = missingForCounting(target);
if (missing !== null) {
  console.error(`count-arm: skipped: there is no ${missing}`);
  process.exit(flags.check ? 1 : 0);
}

/** A layer: channels a group, channels in and out, pixels a side, kernel, stride; the most that its count may be. */
const layer = (perGroup, [channelsIn, channelsOut], pixels, kernelSize, limit, stride = 1) => ({
  name: `${kernelSize}×${kernelSize}, ${perGroup === channelsIn ? 'dense' : `${perGroup} a group`}, ${channelsIn === channelsOut ? channelsIn : `${channelsIn} to ${channelsOut}`} ch, ${pixels}²${stride === 1 ? '' : `, stride ${stride}`}`,
  limit,
  graph() {
    const builder = new GraphBuilder({ name: 'layer' });
    const options = { channelsOut, kernelSize, stride, groups: channelsIn / perGroup, bias: true };
    const value = builder.conv('conv', builder.input('input', [1, pixels, pixels, channelsIn]), options);
    return builder.build([{ name: 'output', value: builder.relu('relu', value) }]);
  },
});
const square = (channels) => [channels, channels];
const layers = [
  layer(1, square(128), 56, 3, 2.7),
  layer(2, square(128), 56, 3, 2.6),
  layer(4, square(128), 56, 3, 1.5),
  layer(4, square(512), 14, 3, 1.5),
  layer(4, square(120), 55, 3, 1.5),
  layer(4, square(128), 56, 3, 2, 2),
  layer(8, square(256), 28, 3, 1.4),
  layer(16, square(512), 14, 3, 1.4),
  layer(3, square(96), 28, 3, 3),
  layer(6, square(96), 28, 3, 2.2),
  layer(128, square(128), 28, 3, 1.3),
  layer(4, square(256), 28, 1, 2.3),
  layer(8, square(256), 28, 1, 2),
  layer(16, square(256), 28, 1, 1.7),
  layer(256, [256, 512], 28, 1, 1.4),
];
/** Limits of the networks of tools/bench. */
const networkLimits = new Map([
  ['ResNeXt-50 32×4d, 224²', 1.4],
  ['grouped 1×1 too, 4 a group', 1.7],
]);
const networks = suiteNamed('networks')
  .filter(({ name }) => networkLimits.has(name))
  .map(({ name, graph }) => ({ name, graph, limit: networkLimits.get(name) }));

const counter = openCounter(target);
const isAlone = flags.check || flags.networks || flags.armhf || files.length > 0;
const onnxRuntime = isAlone ? null : openOnnxRuntime(counter.scratch);
const code = isAlone ? null : disassemble();
const rows = [];
const show = (value) => (value === null ? '-' : value.toFixed(2)).padStart(9);
const columns = ['ours', 'ORT', 'A55', 'A72'].map((name) => name.padStart(9)).join('');
if (!flags.json) {
  console.log(`Instructions per multiply-add of four lanes, whole run, ${target} under qemu (executed multiply-adds);`);
  console.log('A55, A72: cycles per multiply-add of our innermost loop by llvm-mca, whose A72 (and A76) is the A57.');
  console.log(`${''.padEnd(36)}${columns}`);
}
try {
  if (files.length > 0) for (const file of files) add(basename(file), decodeEdge(readFileSync(file)).graph, file);
  else
    for (const { name, graph: build, limit } of flags.networks ? networks : layers) {
      if (!name.includes(flags.only ?? '')) continue;
      const graph = build();
      // What the edge runtime gets says what is grouped; the ONNX target would make some of it dense.
      const { edge } = compile({ graph, weights: mapSource(initialWeights(graph, 1)) }, { formats: ['edge'] }).targets;
      const path = (format) => join(counter.scratch, `model.${format}`);
      writeFileSync(path('edge'), emitters.edge(edge));
      if (onnxRuntime) writeFileSync(path('onnx'), emitters.onnx(edge));
      add(name, graph, path('edge'), onnxRuntime ? path('onnx') : null, flags.armhf ? null : limit);
    }
} finally {
  counter.close();
}

function add(name, graph, edgeFile, onnxFile = null, limit = null) {
  const multiplyAdds = executedMacsOf(graph) / 4;
  const ours = counter.edge(edgeFile) / multiplyAdds;
  const peer =
    onnxFile === null ? null : counter.ofOneRun((runs) => onnxRuntime.command(onnxFile, runs)) / multiplyAdds;
  const loop = code === null ? null : hottestLoop(code, counter.executions(edgeFile));
  const [a55, a72] = ['cortex-a55', 'cortex-a72'].map((core) => (loop === null ? null : cyclesOf(loop, core)));
  rows.push({ name, instructions: ours, limit, onnxRuntime: peer, cyclesA55: a55, cyclesA72: a72 });
  if (!flags.json) console.log(name.padEnd(36) + [ours, peer, a55, a72].map(show).join(''));
}

if (flags.json) console.log(JSON.stringify({ rows }));
const above = rows.filter(({ instructions, limit }) => limit !== null && instructions > limit);
for (const { name, instructions, limit } of above)
  console.error(`count-arm: ${name}: ${instructions.toFixed(2)} instructions per multiply-add, more than ${limit}`);
if (flags.check && above.length > 0) process.exitCode = 1;
