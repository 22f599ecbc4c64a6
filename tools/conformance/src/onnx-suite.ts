import {
  compile,
  decodeOnnx,
  decodeOnnxTensor,
  emitters,
  importOnnx,
  type OnnxModel,
  type OnnxTensor,
} from '@dgconv/compiler';
import { InvalidInputError, type Shape, UnsupportedError } from '@dgconv/core';
import { convertLayout, type Runtime, runNhwc, type RuntimeTensor } from '@dgconv/runtimes';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { difference, onnxTolerance } from './compare.js';
import type { Outcome, Stage } from './outcome.js';

/** Where Debian's package libonnx-testdata puts ONNX's official vectors. */
export const defaultOnnxData = '/usr/share/libonnx-testdata/data';

const folders = ['node', 'simple', 'pytorch-converted', 'pytorch-operator'] as const;

/** One folder of the official vectors: a model and its data sets. */
export interface OnnxCase {
  readonly name: string;
  readonly folder: string;
}

/**
 * The official vectors below a folder that has `node/test_…/model.onnx` and the like, by name.
 * @throws {InvalidInputError} if there are none.
 */
export function findOnnxCases(data: string): OnnxCase[] {
  const cases = folders.flatMap((folder) => {
    const path = join(data, folder);
    if (!existsSync(path)) return [];
    return readdirSync(path)
      .filter((name) => existsSync(join(path, name, 'model.onnx')))
      .map((name) => ({ name: `${folder}/${name}`, folder: join(path, name) }));
  });
  if (cases.length === 0) {
    throw new InvalidInputError(
      `${data} has no ONNX test vectors (node/test_…/model.onnx); Debian's package libonnx-testdata installs them under ${defaultOnnxData}`,
    );
  }
  return cases.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Inputs that an operator takes as values, by operator; all its other inputs are weights or sizes, which the vectors pass in
 * as graph inputs and we compile in as constants.
 */
const valueInputs: Readonly<Record<string, readonly number[] | 'all'>> = {
  Add: 'all',
  Sub: 'all',
  Mul: 'all',
  Div: 'all',
  Pow: 'all',
  Max: 'all',
  Min: 'all',
  Sum: 'all',
  Mean: 'all',
  MatMul: 'all',
  Concat: 'all',
};

/** Names of graph inputs that some node takes as a value. */
function valuesOf({ graph }: OnnxModel): Set<string> {
  const values = new Set<string>();
  for (const { operator, inputs } of graph.nodes) {
    const positions = Object.hasOwn(valueInputs, operator) ? valueInputs[operator]! : [0];
    for (const [position, name] of inputs.entries()) {
      if (positions === 'all' || positions.includes(position)) values.add(name);
    }
  }
  return values;
}

/** Vectors whose recorded outputs are known to be wrong. */
const wrongVectors: Readonly<Record<string, string>> = {
  'node/test_resize_downsample_scales_linear_align_corners':
    'the recorded output contradicts the specification; ONNX Runtime excludes this vector as well',
};

const float32 = 1;

/** Why a case is none of ours, or null. */
function whyNotOurs({ graph }: OnnxModel, values: ReadonlySet<string>): string | null {
  for (const { name, elementType, dimensions } of graph.inputs) {
    if (elementType === null) return `the input '${name}' is no tensor`;
    if (values.has(name) && elementType !== float32) return `the input '${name}' is not float32`;
    if (values.has(name) && dimensions?.includes(0) === true) return `the input '${name}' is empty`;
  }
  for (const { name, elementType } of graph.outputs) {
    if (elementType !== float32) return `the output '${name}' is not float32`;
  }
  return null;
}

const readTensor = (path: string): OnnxTensor => decodeOnnxTensor(readFileSync(path));
const noExternalData = (): never => {
  throw new InvalidInputError('the vectors keep no tensors outside of their files');
};

function floats(tensor: OnnxTensor): RuntimeTensor {
  return { shape: tensor.shape, data: Float32Array.from(tensor.read(noExternalData)) };
}

/** The tensor in the order of dimensions that the imported network has it in. */
function inOrderOf(shape: Shape, tensor: RuntimeTensor): RuntimeTensor {
  const permuted = convertLayout(tensor, 'NCHW', 'NHWC');
  return permuted.shape.join() === shape.join() ? permuted : tensor;
}

/** One case of the official vectors: imported, compiled for the runtime, run on every data set. */
export async function runOnnxCase({ name, folder }: OnnxCase, runtime: Runtime): Promise<Outcome> {
  const known = wrongVectors[name];
  if (known !== undefined) return { name, status: 'skipped', reason: known };
  let stage: Stage = 'import';
  try {
    const bytes = readFileSync(join(folder, 'model.onnx'));
    const model = decodeOnnx(bytes);
    const values = valuesOf(model);
    const reason = whyNotOurs(model, values);
    if (reason !== null) return { name, status: 'skipped', reason };
    for (const set of readdirSync(folder).filter((entry) => entry.startsWith('test_data_set_'))) {
      const tensors = model.graph.inputs
        .filter(({ name: input }) => !model.graph.initializers.has(input))
        .map(({ name: input }, index) => [input, readTensor(join(folder, set, `input_${index}.pb`))] as const);
      stage = 'import';
      const imported = importOnnx(bytes, { constants: new Map(tensors.filter(([input]) => !values.has(input))) });
      stage = 'compile';
      const format = runtime.formats[0]!;
      const artifact = emitters[format](compile(imported, { formats: [format] }).targets[format]!);
      stage = 'load';
      const session = await runtime.load(artifact);
      try {
        stage = 'run';
        const feeds = tensors
          .filter(([input]) => values.has(input))
          .map(([input, tensor]): [string, Float32Array] => {
            const { shape } = imported.graph.inputs.find((candidate) => candidate.name === input)!;
            return [input, inOrderOf(shape, floats(tensor)).data];
          });
        const results = await runNhwc(session, Object.fromEntries(feeds));
        stage = 'mismatch';
        for (const [index, { name: output }] of model.graph.outputs.entries()) {
          const expected = floats(readTensor(join(folder, set, `output_${index}.pb`)));
          const actual = results[output]!;
          const worst = difference(inOrderOf(actual.shape, expected), actual, onnxTolerance);
          if (worst !== null) return { name, status: 'failed', stage, reason: `${set}, output '${output}': ${worst}` };
        }
      } finally {
        await session.dispose();
      }
    }
    return { name, status: 'passed' };
  } catch (error) {
    if (error instanceof UnsupportedError) return { name, status: 'skipped', reason: error.message };
    return { name, status: 'failed', stage, reason: (error as Error).message };
  }
}
