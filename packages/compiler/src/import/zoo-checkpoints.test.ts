import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  bind,
  graphFromArchConfig,
  hardGates,
  gateComplexity,
  interpret,
  mapSource,
  type WeightSource,
} from '@dgconv/core';
import test, { type ExecutionContext } from 'ava';
import { openByteSource } from '@dgconv/core/node';
import { openTorchCheckpoint } from './torch.js';

const folder = fileURLToPath(new URL('../../../../../../shared/reference/', import.meta.url));
const present = existsSync(`${folder}/g_resnet_tiny.pth`);
const testWithReference = present ? test : test.skip;
const why = present ? '' : ' (skipped: ../shared/reference is absent)';

interface Reference {
  readonly arch: Readonly<Record<string, unknown>>;
  readonly complexity?: number;
  readonly input: { readonly shape: readonly number[]; readonly data: readonly number[] };
  readonly logits: { readonly data: readonly number[] };
}

function reference(name: string): Reference {
  return JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8')) as Reference;
}

/** `[N, C, H, W]` → `[N, H, W, C]`. */
function channelsLast({ shape, data }: Reference['input']): Float64Array {
  const [batch = 0, channels = 0, height = 0, width = 0] = shape;
  const result = new Float64Array(data.length);
  let position = 0;
  for (let n = 0; n < batch; n++)
    for (let pixel = 0; pixel < height * width; pixel++)
      for (let c = 0; c < channels; c++) result[position++] = data[(n * channels + c) * height * width + pixel]!;
  return result;
}

function assertLogits(t: ExecutionContext, expected: Reference, checkpoint: WeightSource): void {
  const inputSize = [expected.input.shape[2]!, expected.input.shape[3]!] as const;
  const graph = graphFromArchConfig(expected, { inputSize, checkpoint });
  const outputs = interpret(bind(graph, checkpoint), { input: channelsLast(expected.input) }, { batch: 2 });
  const largest = Math.max(...expected.logits.data.map(Math.abs));
  t.is(outputs['logits']!.length, expected.logits.data.length);
  outputs['logits']!.forEach((logit, index) => {
    const difference = Math.abs(logit - expected.logits.data[index]!);
    t.true(difference <= 1e-5 * largest, `logit ${index}: ${logit}, not ${expected.logits.data[index]}`);
  });
}

testWithReference(`the public G-ResNet's checkpoint gives its logits and its complexity${why}`, (t) => {
  const expected = reference('g_resnet_tiny');
  const checkpoint = openTorchCheckpoint(openByteSource(`${folder}/g_resnet_tiny.pth`));
  assertLogits(t, expected, checkpoint);
  const complexity = checkpoint.names
    .filter((name) => name.endsWith('.gate'))
    .map((name) => {
      const [channels = 0] = checkpoint.shape(name.replace(/gate$/, 'conv.weight'));
      return gateComplexity(hardGates(checkpoint.read(name)), channels, channels);
    })
    .reduce((sum, connections) => sum + connections, 0);
  t.is<number | undefined, number | undefined>(complexity, expected.complexity);
});

testWithReference(`the public CondenseNet's checkpoint gives its logits${why}`, (t) => {
  assertLogits(t, reference('condensenet_tiny'), openTorchCheckpoint(openByteSource(`${folder}/condensenet_tiny.pth`)));
});

/** What the public repository's converter makes of a trained checkpoint, with the whole classifier kept. */
function converted(trained: WeightSource, groups: number): WeightSource {
  const tensors = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  for (const name of trained.names) {
    if (!name.includes('.conv_1.') && !name.startsWith('classifier.')) {
      tensors.set(name, { shape: trained.shape(name), values: trained.read(name) });
    }
  }
  for (const name of trained.names.filter((candidate) => candidate.endsWith('._mask'))) {
    const id = name.slice(0, -'._mask'.length);
    const [outputs = 0, inputs = 0] = trained.shape(name);
    const mask = trained.read(name);
    const kernel = trained.read(`${id}.conv.weight`);
    const kept = Array.from({ length: groups }, (_, group) =>
      Array.from({ length: inputs }, (_, input) => input).filter((input) => mask[group * inputs + input] === 1),
    );
    const index = kept.flat();
    tensors.set(`${id}.index`, { shape: [index.length], values: Float32Array.from(index) });
    for (const slot of ['weight', 'bias', 'running_mean', 'running_var']) {
      const values = trained.read(`${id}.norm.${slot}`);
      tensors.set(`${id}.norm.${slot}`, {
        shape: [index.length],
        values: Float32Array.from(index, (input) => values[input]!),
      });
    }
    const perGroup = outputs / groups;
    const values = kept.flatMap((support, group) =>
      Array.from({ length: perGroup }, (_, k) =>
        support.map((input) => kernel[(group + k * groups) * inputs + input]!),
      ).flat(),
    );
    tensors.set(`${id}.conv.weight`, {
      shape: [outputs, index.length / groups, 1, 1],
      values: Float32Array.from(values),
    });
  }
  const features = trained.shape('classifier.weight')[1]!;
  tensors.set('classifier.index', {
    shape: [features],
    values: Float32Array.from({ length: features }, (_, feature) => feature),
  });
  for (const slot of ['weight', 'bias']) {
    tensors.set(`classifier.linear.${slot}`, {
      shape: trained.shape(`classifier.${slot}`),
      values: trained.read(`classifier.${slot}`),
    });
  }
  return mapSource(tensors);
}

testWithReference(`a CondenseNet checkpoint in the converted layout gives the same logits${why}`, (t) => {
  const trained = openTorchCheckpoint(openByteSource(`${folder}/condensenet_tiny.pth`));
  assertLogits(t, reference('condensenet_tiny'), converted(trained, 4));
});
