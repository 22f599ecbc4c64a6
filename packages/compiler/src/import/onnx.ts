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
import { decodeOnnx, type OnnxGraph, type OnnxModel, type OnnxNode, type OnnxValue } from './onnx-file.js';
import { type Constant, largestValue } from './constant.js';
import { type Form, OnnxGraphBuilder } from './onnx-graph.js';
import { OnnxNodeImporter, Scope } from './onnx-nodes.js';
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
  return importDecodedOnnx(decodeOnnx(bytes), options);
}

/**
 * Reads a model that is decoded already, as {@link importOnnx} does.
 * @throws {InvalidInputError} if a size is open that nobody gives, or the parts do not fit.
 * @throws {UnsupportedError} naming node, operator and reason.
 */
export function importDecodedOnnx(model: OnnxModel, options: OnnxImportOptions = {}): Model {
  const { graph, opsets, functions, producer, metadata: texts } = model;
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
  const builder = new OnnxGraphBuilder(fileSource(graph, options.readExternal), options.readExternal);
  const values = new Scope();
  for (const [name, tensor] of graph.initializers) values.set(name, initializer(tensor, builder));
  for (const [name, tensor] of options.constants ?? []) {
    values.set(name, builder.tensor(name, tensor));
  }
  let isChannelsLast = false;
  if (inputs.every(({ name }) => values.has(name))) {
    throw new UnsupportedError('the model has no inputs: there is nothing to run');
  }
  const readers = readersOf(graph.nodes);
  for (const input of inputs) {
    if (options.constants?.has(input.name) === true) continue;
    const form = inputForm(input, readers.get(input.name) ?? []);
    const isOnlyCast = isCast(input.name, readers);
    isChannelsLast ||= form === 'given' && input.dimensions?.length === 4;
    const shape = inputShape(input, form, isOnlyCast, options);
    if (elementCount(shape) > largestValue) {
      throw new InvalidInputError(
        `the input '${input.name}' has shape [${shape.join(', ')}]: at most 2^28 values are supported`,
      );
    }
    values.set(input.name, builder.input(input.name, shape, form));
  }
  new OnnxNodeImporter(builder, functions, largestNodeCount).importNodes(graph.nodes, values, opset);
  const outputs = graph.outputs.map(({ name }) => {
    const value = values.get(name);
    const leftOut = value === undefined ? values.whyLeftOut(name) : undefined;
    if (leftOut !== undefined) throw new UnsupportedError(leftOut);
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

/** Operators that leave every value as it is, wherever they put it. */
const movers: ReadonlySet<string> = new Set(['Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Identity', 'Slice']);

/** Whether all that is done with an integer input, perhaps after it was moved, is a cast: then its values may as well come as float32. */
function isCast(name: string, readers: ReadonlyMap<string, readonly OnnxNode[]>, depth = 0): boolean {
  const found = readers.get(name) ?? [];
  return (
    found.length > 0 &&
    found.every(
      ({ operator, inputs, outputs }) =>
        operator === 'Cast' ||
        operator === 'Shape' ||
        (movers.has(operator) && inputs[0] === name && depth < 16 && isCast(outputs[0] ?? '', readers, depth + 1)),
    )
  );
}

/** The initialisers as float32; each is decoded when it is read. */
function fileSource(graph: OnnxGraph, readExternal: ExternalReader | undefined): WeightSource {
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

function initializer(tensor: OnnxTensor, { file, readExternal }: OnnxGraphBuilder): Constant {
  const { name, shape, elementType } = tensor;
  const isFloat = isFloatType(elementType);
  return {
    kind: 'constant',
    shape,
    isFloat,
    weight: { kind: 'stored', name },
    // Integers are read exactly.
    read: isFloat ? () => file.read(name) : () => tensor.read(readExternal),
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

function inputShape(input: OnnxValue, form: Form, isOnlyCast: boolean, options: OnnxImportOptions): Shape {
  const { name, dimensions, elementType } = input;
  if (elementType !== null && !isFloatType(elementType) && !isOnlyCast) {
    throw new UnsupportedError(
      `the input '${name}' is ${elementTypeName(elementType)}: only floating-point inputs are supported, and integers that are cast to it at once`,
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
    const where = `dimension ${axis} of the input '${name}' [${dimensions.map((dimension) => dimension ?? '?').join(', ')}] is open`;
    throw new InvalidInputError(
      isImage
        ? `${where}: the height and width are known from the model, from "input_size": [H, W] in an architecture file, or from --input-shape C,H,W`
        : `${where}: only those of images, which have four dimensions, can be fixed by --input-shape C,H,W`,
    );
  });
}
