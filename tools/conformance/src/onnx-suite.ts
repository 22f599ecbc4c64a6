import { compile, decodeOnnx, decodeOnnxTensor, importOnnx, type OnnxModel, type OnnxTensor } from '@dgconv/compiler';
import { inferShapes, InvalidInputError, type Shape, UnsupportedError } from '@dgconv/core';
import { convertLayout, type RuntimeTensor } from '@dgconv/runtimes';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onnxTolerance } from './compare.js';
import type { ConformanceCase } from './conformance-case.js';

/** Where Debian's package libonnx-testdata puts ONNX's official vectors. */
export const defaultOnnxData = '/usr/share/libonnx-testdata/data';

const folders = ['node', 'simple', 'pytorch-converted', 'pytorch-operator'] as const;

/** One folder of the official vectors: a model and its data sets. */
export interface OnnxVector {
  readonly name: string;
  readonly folder: string;
}

/**
 * The official vectors below a folder that has `node/test_…/model.onnx` and the like, by name.
 * @throws {InvalidInputError} if there are none.
 */
export function findOnnxVectors(data: string): OnnxVector[] {
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

function floats(tensor: OnnxTensor): RuntimeTensor {
  return { shape: tensor.shape, data: Float32Array.from(tensor.read()) };
}

/** The tensor in the order of dimensions that the imported network has it in. */
function inOrderOf(shape: Shape, tensor: RuntimeTensor): RuntimeTensor {
  const permuted = convertLayout(tensor, 'NCHW', 'NHWC');
  return permuted.shape.join() === shape.join() ? permuted : tensor;
}

/** The official vectors below `data`, each imported with its weights and sizes as constants. */
export const onnxSuite = (data: string): ConformanceCase[] =>
  findOnnxVectors(data).map(({ name, folder }) => ({
    name,
    ...(wrongVectors[name] === undefined ? {} : { skip: wrongVectors[name] }),
    *prepare(format, enter) {
      enter('import');
      const bytes = readFileSync(join(folder, 'model.onnx'));
      const model = decodeOnnx(bytes);
      const values = valuesOf(model);
      const reason = whyNotOurs(model, values);
      if (reason !== null) throw new UnsupportedError(reason);
      for (const set of readdirSync(folder).filter((entry) => entry.startsWith('test_data_set_'))) {
        enter('import');
        const tensors = model.graph.inputs
          .filter(({ name: input }) => !model.graph.initializers.has(input))
          .map(({ name: input }, index) => [input, readTensor(join(folder, set, `input_${index}.pb`))] as const);
        const imported = importOnnx(bytes, { constants: new Map(tensors.filter(([input]) => !values.has(input))) });
        const shapes = inferShapes(imported.graph);
        const feeds = tensors
          .filter(([input]) => values.has(input))
          .map(([input, tensor]) => [input, inOrderOf(shapes.get(input)!, floats(tensor)).data] as const);
        const expected = imported.graph.outputs.map(({ name: output, value }, index) => {
          const recorded = floats(readTensor(join(folder, set, `output_${index}.pb`)));
          return [output, inOrderOf(shapes.get(value)!, recorded)] as const;
        });
        enter('compile');
        yield {
          target: compile(imported, { formats: [format] }).targets[format]!,
          feeds: Object.fromEntries(feeds),
          expected: Object.fromEntries(expected),
          tolerance: onnxTolerance,
        };
      }
    },
  }));
