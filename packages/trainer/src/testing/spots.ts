import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Graph, GraphBuilder, RandomSource } from '@dgconv/core';

/** 8 × 8 pictures of three classes, a bright spot in one of three corners, as MNIST's files. */
export function spots(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dgconv-spots-'));
  const r = new RandomSource(1);
  for (const [name, count] of [
    ['train', 240],
    ['t10k', 60],
  ] as const) {
    const images = new Uint8Array(16 + 64 * count);
    const labels = new Uint8Array(8 + count);
    images.set([0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 8, 0, 0, 0, 8]);
    labels.set([0, 0, 8, 1, 0, 0, 0, count]);
    for (let n = 0; n < count; n++) {
      const label = r.below(3);
      labels[8 + n] = label;
      for (let at = 0; at < 64; at++) images[16 + 64 * n + at] = r.below(60);
      const corner = [9, 13, 49][label]!;
      for (const at of [0, 1, 8, 9]) images[16 + 64 * n + corner + at] = 150 + r.below(100);
    }
    writeFileSync(join(folder, `${name}-images-idx3-ubyte`), images);
    writeFileSync(join(folder, `${name}-labels-idx1-ubyte`), labels);
  }
  return folder;
}

/** A small residual network with three learned convolutions of 8 channels. */
export function spotter(): Graph {
  const g = new GraphBuilder({ name: 'spotter' });
  let x = g.conv('stem', g.input('x', [1, 8, 8, 1]), { channelsOut: 8, kernelSize: 3, stride: 2 });
  x = g.relu('stem.relu', g.batchNorm('stem.bn', x));
  for (const id of ['a', 'b', 'c']) {
    const y = g.relu(`${id}.relu`, g.batchNorm(`${id}.bn`, g.conv(`${id}.conv`, x, { channelsOut: 8, kernelSize: 3 })));
    x = g.add(`${id}.add`, g.conv(`${id}.project`, y, { channelsOut: 8, kernelSize: 1 }), x);
  }
  const y = g.dense('fc', g.dropout('drop', g.globalAveragePool('gap', x), 0.1), 3);
  return g.build([{ name: 'logits', value: y }]);
}
