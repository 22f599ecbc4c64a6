import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  bind,
  graphFromArchConfig,
  interpret,
  isIdentityPermutation,
  type Model,
  type Node,
  printGraph,
} from '@dgconv/core';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { compile, type CompileResult } from './compile.js';
import { openByteSource } from '@dgconv/core/node';
import { openTorchCheckpoint } from './import/torch.js';
import { runPasses, sharedPasses, targetPasses } from './passes/pipeline.js';
import { Random, randomFeeds, randomModel, structuralParts } from '@dgconv/core/testing';

const formats = ['edge', 'onnx', 'tflite'] as const;

/** Random networks a property; a nightly run asks for more. */
const networks = Number(process.env['DGCONV_RANDOM_NETWORKS'] ?? 500);

const reference = (name: string): string =>
  fileURLToPath(new URL(`../../../../../shared/reference/${name}`, import.meta.url));

interface Golden {
  readonly arch: Record<string, unknown>;
  readonly input: { readonly shape: readonly [number, number, number, number]; readonly data: readonly number[] };
  readonly logits: { readonly shape: readonly number[]; readonly data: readonly number[] };
  readonly complexity?: number;
}

/** The images of a golden input, NCHW, one by one as NHWC. */
function images({ shape, data }: Golden['input']): Float32Array[] {
  const [count, channels, height, width] = shape;
  const pixels = height * width;
  return Array.from({ length: count }, (_, image) =>
    Float32Array.from({ length: channels * pixels }, (_, index) => {
      const [pixel, channel] = [Math.floor(index / channels), index % channels];
      return data[(image * channels + channel) * pixels + pixel]!;
    }),
  );
}

/** Largest difference, relative to the largest expected value. */
function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const largest = Math.max(...Array.from(expected, Math.abs));
  return Math.max(...Array.from(expected, (value, index) => Math.abs(value - actual[index]!))) / largest;
}

function golden(name: string): { model: Model; golden: Golden } {
  const golden = JSON.parse(readFileSync(reference(`${name}.json`), 'utf8')) as Golden;
  const inputSize = [golden.input.shape[2], golden.input.shape[3]] as const;
  const graph = graphFromArchConfig(golden, { inputSize });
  return { model: bind(graph, openTorchCheckpoint(openByteSource(reference(`${name}.pth`)))), golden };
}

const hasReference = existsSync(reference('g_resnet_tiny.pth'));

/** Interprets the network after every pass of every format; gives the compilation's result. */
function compileChecked(t: ExecutionContext, name: string): { result: CompileResult; golden: Golden } {
  const { model, golden: expected } = golden(name);
  const [image] = images(expected.input);
  const logits = expected.logits.data.slice(0, expected.logits.shape[1]);
  const check = (stage: string, graph: Model['graph']): void => {
    const [output] = Object.values(interpret({ graph, weights: model.weights }, { [graph.inputs[0]!.name]: image! }));
    const error = relativeError(output!, logits);
    t.true(error < 2e-4, `${stage}: ${error}`);
  };
  check('source', model.graph);
  const result = compile(model, {
    formats,
    observe: (format, { name: pass, before, after }) => {
      if (printGraph(before) !== printGraph(after)) check(`${format ?? 'all'} after ${pass}`, after);
    },
  });
  return { result, golden: expected };
}

(hasReference ? test : test.skip)(
  'the public g_resnet_tiny.pth computes its golden logits after every pass, without a shuffle',
  (t) => {
    const { result, golden: expected } = compileChecked(t, 'g_resnet_tiny');
    t.is(result.zeta, expected.complexity!);
    t.is(result.shufflesLeft, 0);
    const learned = result.layers.filter(({ name }) => name.endsWith('conv2'));
    t.is(learned.length, 4);
    t.true(learned.every(({ macsAfter, macsBefore, groups }) => macsAfter * groups === macsBefore));
  },
);

(hasReference ? test : test.skip)(
  'the public condensenet_tiny.pth computes its golden logits after every pass',
  (t) => {
    const { result } = compileChecked(t, 'condensenet_tiny');
    t.true(result.macsAfter < result.macsBefore);
    for (const shuffle of Object.values(result.shuffles).flat())
      t.regex(shuffle.reason, /groups that cut across each other$|share inputs, so each gathers its own$/);
    const learned = result.layers.filter(({ grouping }) => grouping === 'shared-inputs');
    t.is(learned.length, 4);
  },
);

test('random networks compile to the same function for every format, to the bit on integers', (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 60 }), fc.boolean(), (seed, size, isStructural) => {
      const source = randomModel(seed, { size, integers: true, ...(isStructural ? { ops: structuralParts } : {}) });
      const feeds = randomFeeds(source.graph, seed, { integers: true });
      const expected = numbers(interpret(source, feeds));
      const { targets } = compile(source, { formats });
      for (const format of formats) t.deepEqual(numbers(interpret(targets[format]!, feeds)), expected, format);
      for (const format of ['onnx', 'tflite'] as const)
        t.true(targets[format]!.graph.nodes.every(isExpressible), format);
    }),
    { numRuns: networks, seed: 1 },
  );
});

test('the shared passes may run in any order that their postconditions allow, and any number of times', (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 40 }), fc.boolean(), (seed, size, isStructural) => {
      const random = new Random(seed);
      const source = randomModel(seed, { size, integers: true, ...(isStructural ? { ops: structuralParts } : {}) });
      const feeds = randomFeeds(source.graph, seed, { integers: true });
      // Gates are fixed first; whatever else happens, masks are recognised before channels are removed and orders applied.
      const [first, ...others] = sharedPasses;
      const shuffled = random.permutation(2 * others.length).map((index) => others[index % others.length]!);
      const passes = [first!, ...shuffled, ...sharedPasses, ...targetPasses(random.pick(formats), 'generic')];
      t.deepEqual(numbers(interpret(runPasses(source, passes), feeds)), numbers(interpret(source, feeds)));
    }),
    { numRuns: networks, seed: 1 },
  );
});

function numbers(outputs: Record<string, Float64Array>): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, values]) => [name, Array.from(values, (value) => value + 0)]),
  );
}

/** Whether ONNX and TFLite have an operator for the node's connectivity. */
function isExpressible(node: Node): boolean {
  if (node.op !== 'conv2d' || node.attrs.connectivity.kind === 'dense') return true;
  const { connectivity } = node.attrs;
  return (
    connectivity.kind === 'equal' &&
    isIdentityPermutation(connectivity.inputOrder) &&
    isIdentityPermutation(connectivity.outputOrder)
  );
}
