import {
  elementCount,
  type GraphMetadata,
  InvalidInputError,
  type Model,
  type Shape,
  UnsupportedError,
  type WeightSource,
} from '@dgconv/core';
import { parseMetadata } from '../emit/metadata.js';
import { decodeOnnx, type OnnxGraph, type OnnxNode, type OnnxValue } from './onnx-file.js';
import { foldConstants } from './onnx-fold.js';
import { type Constant, type Form, largestValue, OnnxGraphBuilder, type Operand } from './onnx-graph.js';
import { OnnxNodeContext } from './onnx-node.js';
import { onnxOps } from './onnx-ops/index.js';
import { elementTypeName, type ExternalReader, isFloatType, type OnnxTensor } from './onnx-tensor.js';

export interface OnnxImportOptions {
  /** `[C, H, W]` of the images that go in, where the model leaves them open. */
  readonly inputShape?: readonly number[];
  /** Reads tensors that lie outside the model's file; default: there are none. */
  readonly readExternal?: ExternalReader;
  /** Graph inputs that are constants after all, as in the test vectors of the standard (`decodeOnnxTensor` reads their files). */
  readonly constants?: ReadonlyMap<string, OnnxTensor>;
}

/** Far more than networks have, few enough that every pass is quick. */
const largestNodeCount = 20_000;
const largestInputCount = 256;

const oldest = 6;
const newest = 28;

/**
 * Reads an ONNX model of operator sets 6 to 28 as a graph for batch 1, NHWC at its borders. Shape arithmetic is
 * computed; a value is transposed where an operator needs channels last.
 * @throws {InvalidInputError} if the bytes are no such model, or a size is open that nobody gives.
 * @throws {UnsupportedError} naming node, operator and reason.
 */
export function importOnnx(bytes: Uint8Array, options: OnnxImportOptions = {}): Model {
  const { graph, opsets, producer, metadata: texts } = decodeOnnx(bytes);
  const opset = opsets.get('');
  if (opset === undefined || !(opset >= oldest && opset <= newest)) {
    throw new UnsupportedError(
      `the model uses ${opset === undefined ? "none of ONNX's operator sets" : `operator set ${opset}`}: ${oldest} to ${newest} are supported`,
    );
  }
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  for (const [what, { length }, most] of [
    ['nodes', graph.nodes, largestNodeCount],
    ['inputs', inputs, largestInputCount],
  ] as const) {
    if (length > most) throw new UnsupportedError(`the model has ${length} ${what}: at most ${most} are supported`);
  }
  const builder = new OnnxGraphBuilder(fileSource(graph, options.readExternal ?? noExternalData));
  const values = new Map<string, Operand>();
  for (const [name, tensor] of graph.initializers) values.set(name, initializer(tensor, builder.file));
  for (const [name, tensor] of options.constants ?? []) {
    const isFloat = isFloatType(tensor.elementType);
    values.set(name, builder.constant(name, tensor.shape, tensor.read(noExternalData), isFloat));
  }
  let isChannelsLast = false;
  if (inputs.every(({ name }) => values.has(name))) {
    throw new UnsupportedError('the model has no inputs: there is nothing to run');
  }
  const readers = readersOf(graph.nodes);
  for (const input of inputs) {
    if (values.has(input.name)) continue;
    const form = inputForm(input, readers.get(input.name) ?? []);
    isChannelsLast ||= form === 'given' && input.dimensions?.length === 4;
    const shape = inputShape(input, form, options);
    if (elementCount(shape) > largestValue) {
      throw new InvalidInputError(
        `the input '${input.name}' has shape [${shape.join(', ')}]: at most 2^28 values are supported`,
      );
    }
    values.set(input.name, builder.input(input.name, shape, form));
  }
  for (const node of graph.nodes) importNode(node, values, opset, builder);
  const outputs = graph.outputs.map(({ name }) => {
    const value = values.get(name);
    if (value === undefined) throw new InvalidInputError(`the output '${name}' is computed by no node`);
    const computed = builder.materialise(value, name, name);
    const form: Form = computed.shape.length === 4 && !isChannelsLast ? 'last' : 'given';
    return { name, value: builder.in(form, computed) };
  });
  if (outputs.length === 0) throw new InvalidInputError('the model has no outputs');
  const { preprocessing, classNames } = parseMetadata(Object.fromEntries(texts));
  const metadata: GraphMetadata = {
    name: graph.name === '' ? 'model' : graph.name,
    ...(producer === '' ? {} : { producer }),
    ...(preprocessing === undefined ? {} : { preprocessing }),
    ...(classNames === undefined ? {} : { classNames }),
  };
  return { graph: builder.finish(outputs, metadata), weights: builder.source() };
}

function readersOf(nodes: readonly OnnxNode[]): ReadonlyMap<string, readonly OnnxNode[]> {
  const readers = new Map<string, OnnxNode[]>();
  for (const node of nodes) {
    for (const name of node.inputs) {
      const found = readers.get(name);
      if (found === undefined) readers.set(name, [node]);
      else found.push(node);
    }
  }
  return readers;
}

const noExternalData: ExternalReader = ({ location }) => {
  throw new InvalidInputError(`the model keeps tensors in '${location}', which was not given`);
};

/** The initialisers as float32; each is decoded when it is read. */
function fileSource(graph: OnnxGraph, readExternal: ExternalReader): WeightSource {
  const find = (name: string): OnnxTensor => {
    const tensor = graph.initializers.get(name);
    if (tensor === undefined) throw new InvalidInputError(`there is no tensor '${name}'`);
    return tensor;
  };
  return {
    names: [...graph.initializers.keys()],
    shape: (name) => find(name).shape,
    read(name) {
      const values = find(name).read(readExternal);
      return values instanceof Float32Array ? values : Float32Array.from(values);
    },
  };
}

function initializer(tensor: OnnxTensor, file: WeightSource): Constant {
  const { name, shape, elementType } = tensor;
  const isFloat = isFloatType(elementType);
  return {
    kind: 'constant',
    shape,
    isFloat,
    weight: { kind: 'stored', name },
    // Integers are read exactly.
    read: isFloat ? () => file.read(name) : () => tensor.read(noExternalData),
  };
}

/**
 * How a graph input's four dimensions are to be read: as NCHW, unless every reader transposes them to NCHW first, or they are a
 * square image with 1 or 3 channels behind.
 */
function inputForm(input: OnnxValue, readers: readonly OnnxNode[]): Form {
  if (input.dimensions?.length !== 4) return 'given';
  const isTransposed = (node: OnnxNode): boolean =>
    node.operator === 'Transpose' && node.attributes.get('perm')?.ints.join() === '0,3,1,2';
  if (readers.length > 0 && readers.every(isTransposed)) return 'given';
  const [, second, third, last] = input.dimensions;
  const isSquare = typeof second === 'number' && second > 4 && second === third;
  return isSquare && (last === 1 || last === 3) ? 'given' : 'last';
}

function inputShape(input: OnnxValue, form: Form, options: OnnxImportOptions): Shape {
  const { name, dimensions, elementType } = input;
  if (elementType !== null && !isFloatType(elementType)) {
    throw new UnsupportedError(
      `the input '${name}' is ${elementTypeName(elementType)}: only floating-point inputs are supported`,
    );
  }
  if (dimensions === null || elementType === null) {
    throw new UnsupportedError(`the input '${name}' is no tensor with a known number of dimensions`);
  }
  if (dimensions.includes(0)) {
    throw new UnsupportedError(`the input '${name}' has the shape [${dimensions.join(', ')}], which holds nothing`);
  }
  if (dimensions.length === 0) {
    throw new UnsupportedError(`the input '${name}' is a single number: only inputs with dimensions are supported`);
  }
  const given = options.inputShape;
  const isImage = dimensions.length === 4;
  if (isImage && given !== undefined && given.length !== 3) {
    throw new InvalidInputError(
      `an input shape of ${given.length} numbers does not fit the images '${name}': C,H,W are needed`,
    );
  }
  const [channels, height, width] = given ?? [];
  const wanted =
    !isImage || given === undefined
      ? []
      : form === 'last'
        ? [1, channels, height, width]
        : [1, height, width, channels];
  return dimensions.map((size, axis) => {
    if (typeof size === 'number' && size > 0) {
      const other = axis === 0 ? undefined : wanted[axis];
      if (other !== undefined && other !== size) {
        throw new InvalidInputError(
          `the input '${name}' has the fixed shape [${dimensions.join(', ')}], which --input-shape ${given!.join(',')} contradicts`,
        );
      }
      return size;
    }
    const open = axis === 0 ? 1 : wanted[axis];
    if (open !== undefined) return open;
    throw new InvalidInputError(
      `dimension ${axis} of the input '${name}' [${dimensions.map((dimension) => dimension ?? '?').join(', ')}] is open: ` +
        'the height and width are known from the model, from "input_size": [H, W] in an architecture file, or from --input-shape C,H,W',
    );
  });
}

function importNode(node: OnnxNode, values: Map<string, Operand>, opset: number, builder: OnnxGraphBuilder): void {
  const where = `node '${node.name !== '' ? node.name : (node.outputs[0] ?? '')}' (${node.operator})`;
  if (node.outputs.every((output) => output === '')) return;
  const inputs = node.inputs.map((name) => {
    if (name === '') return null;
    const value = values.get(name);
    if (value === undefined) throw new InvalidInputError(`${where} reads '${name}', which no earlier node computes`);
    return value;
  });
  const context = new OnnxNodeContext(node, inputs, opset, builder);
  const results = resultsOf(context, where);
  node.outputs.forEach((output, index) => {
    const result = results[index];
    if (output === '') return;
    if (values.has(output)) throw new InvalidInputError(`${where} computes '${output}', which is there already`);
    if (result === undefined) context.refuse(`its output '${output}' is not supported`);
    values.set(output, result!);
  });
}

function resultsOf(context: OnnxNodeContext, where: string): readonly Operand[] {
  const { node } = context;
  if (node.domain !== '')
    throw new UnsupportedError(`${where}: operators of the domain '${node.domain}' are not supported`);
  if (node.operator === 'Constant') return [constantNode(context)];
  try {
    const folded = foldConstants(context);
    if (folded !== null) return folded;
    const op = onnxOps.get(node.operator);
    if (op === undefined) throw new UnsupportedError(`${where}: the operator is not supported`);
    const result = op(context);
    return Array.isArray(result) ? (result as readonly Operand[]) : [result as Operand];
  } catch (error) {
    if (error instanceof InvalidInputError && !error.message.includes(context.id)) {
      throw new InvalidInputError(`${where}: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

/** A Constant node: one of several attributes holds its value. */
function constantNode(context: OnnxNodeContext): Constant {
  const { builder, id } = context;
  const tensor = context.attribute('value')?.tensor;
  if (tensor !== null && tensor !== undefined) {
    const values = tensor.read(noExternalData);
    return builder.constant(id, tensor.shape, values, isFloatType(tensor.elementType));
  }
  const single = context.attribute('value_float')?.float ?? null;
  if (single !== null) return builder.constant(id, [], Float64Array.of(single), true);
  const integer = context.attribute('value_int')?.int ?? null;
  if (integer !== null) return builder.constant(id, [], Float64Array.of(integer), false);
  const floats = context.floats('value_floats');
  if (floats !== null) return builder.constant(id, [floats.length], Float64Array.from(floats), true);
  const ints = context.ints('value_ints');
  if (ints !== null) return builder.constant(id, [ints.length], Float64Array.from(ints), false);
  return context.refuse('it has no value that is supported');
}
