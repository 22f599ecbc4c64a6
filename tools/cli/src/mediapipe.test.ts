import { compile, emitTflite } from '@dgconv/compiler';
import { initialWeights, mapSource, zooGraph } from '@dgconv/core';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { dgconv } from './testing/dgconv.js';

/** Classifies images with MediaPipe, which knows of the model what its file says; the best classes of each image as JSON. */
const classifier = `
import json, sys
from mediapipe import Image
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]), max_results=3)
with vision.ImageClassifier.create_from_options(options) as task:
    results = [task.classify(Image.create_from_file(path)).classifications[0].categories for path in sys.argv[2:]]
print(json.dumps([[{'index': c.index, 'class': c.category_name, 'score': c.score} for c in found] for found in results]))
`;

interface Category {
  readonly index: number;
  readonly class: string;
  readonly score: number;
}

const isPresent = spawnSync('python3', ['-c', 'from mediapipe.tasks.python import vision']).status === 0;
const title = "MediaPipe's ImageClassifier takes an RGB classifier of ours as it is and gives our labels";

(isPresent ? test : test.skip)(
  isPresent ? title : `${title} (skipped: python3 with the package mediapipe is absent)`,
  async (t) => {
    t.timeout(120_000);
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-mediapipe-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const plain = zooGraph('resnext_cifar');
    const metadata = {
      ...plain.metadata,
      preprocessing: {
        resizeShorterSide: null,
        colour: 'rgb',
        mean: [0.45, 0.45, 0.45],
        standardDeviation: [0.25, 0.25, 0.25],
      },
      classNames: ['plane', 'car', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
    } as const;
    const graph = { ...plain, metadata };
    const model = compile({ graph, weights: mapSource(initialWeights(graph, 5)) }, { formats: ['tflite'] });
    const file = join(folder, 'classifier.tflite');
    writeFileSync(file, emitTflite(model.targets.tflite!));

    const pictures = ['#c03020', '#20a0e0', '#101010', '#f0f0a0'].map((background, at) => ({
      path: join(folder, `${at}.png`),
      image: sharp({ create: { width: 32, height: 32, channels: 3, background } }).composite([
        {
          input: { create: { width: 6 + 4 * at, height: 20 - 4 * at, channels: 3, background: '#40ff10' } },
          left: 3 * at,
          top: 5,
        },
      ]),
    }));
    for (const { path, image } of pictures) await image.png().toFile(path);
    const paths = pictures.map(({ path }) => path);

    const python = spawnSync('python3', ['-c', classifier, file, ...paths], { encoding: 'utf8' });
    t.is(python.status, 0, python.stderr);
    const theirs = JSON.parse(python.stdout) as Category[][];
    const answers = new Set<string>();
    for (const [at, path] of paths.entries()) {
      const outcome = await dgconv('run', file, '--input', path, '--top', '3', '--json');
      t.is(outcome.code, 0, outcome.stderr);
      const { top } = JSON.parse(outcome.stdout) as { top: Category[] };
      t.deepEqual(
        theirs[at]!.map(({ index, class: label }) => [index, label]),
        top.map(({ index, class: label }) => [index, label]),
      );
      answers.add(top.map(({ class: label }) => label).join());
      // Ours are probabilities, theirs the logits that they come from.
      for (const place of [1, 2]) {
        const ratio = Math.log(top[0]!.score / top[place]!.score);
        const difference = theirs[at]![0]!.score - theirs[at]![place]!.score;
        t.true(Math.abs(ratio - difference) < 1e-3, `${ratio} and ${difference}`);
      }
    }
    t.true(answers.size > 1, 'the pictures are told apart');
  },
);
