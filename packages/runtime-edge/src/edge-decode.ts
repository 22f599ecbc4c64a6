import {
  DgconvError,
  elementCount,
  type Graph,
  type GroupBlock,
  inferShapes,
  InvalidInputError,
  type Model,
  type Node,
  sameShape,
  type Shape,
  slotShapes,
  UnsupportedError,
  type Weight,
  weightShape,
  type WeightSource,
} from '@dgconv/core';
import { crc32c } from './crc32c.js';
import { type EdgeOpName, type Field, readFields } from './edge-fields.js';
import { readEdgeMetadata } from './edge-metadata.js';
import { decodeNode } from './edge-nodes.js';
import { edgeEnums, edgeLimits, edgeOps } from './edge-schema.js';

type SectionKind = (typeof edgeEnums.SectionKind)[number];

interface TensorRecord {
  readonly shape: Shape;
  readonly name: string;
  /** Bytes of the values; null: computed or given. */
  readonly data: Uint8Array | null;
}

function refuse(rule: string): never {
  throw new InvalidInputError(`the .edge file is invalid: ${rule}`);
}

const opNames = new Map<number, EdgeOpName>(
  Object.entries(edgeOps).map(([name, { code }]) => [code, name as EdgeOpName]),
);

/**
 * The model in a `.edge` file: its graph, and weights that are read from `bytes` when asked for (so those must not change).
 * @throws {InvalidInputError} if the file is damaged or breaks a rule of the format.
 * @throws {UnsupportedError} if it needs a newer version.
 */
export function decodeEdge(bytes: Uint8Array): Model {
  const { sections, minor } = readSections(bytes);
  const section = (kind: SectionKind): Uint8Array => sections.get(kind) ?? refuse(`the section '${kind}' is missing`);
  const strings = section('strings');
  const decoder = new TextDecoder();
  const text = (offset: number, size: number): string =>
    offset + size > strings.length
      ? refuse("a name is outside of the section 'strings'")
      : decoder.decode(strings.subarray(offset, offset + size));

  const tensors = readTensors(section('tensors'), section('constants'), text);
  const { metadata, origins } = readEdgeMetadata(sections.get('metadata'));
  const weights = constantSource(tensors);
  const names = uniqueNames(tensors);
  const words = wordsOf(section('ops'), 'ops');
  const nodes: Node[] = [];
  const nodeTensors: number[] = [];
  for (let at = 0; at < words.length;) {
    const where = `op ${nodes.length}`;
    const [code = 0, size = 0, output = 0, inputCount = 0] = words.subarray(at, at + 4);
    if (size < 4 || size > words.length - at || inputCount > size - 4) refuse(`${where} is cut off`);
    const op = opNames.get(code);
    if (op === undefined) throw new UnsupportedError(`${where} of the .edge file has the unknown code ${code}`);
    const { minInputs, maxInputs, fields: schema } = edgeOps[op];
    if (inputCount < minInputs || inputCount > maxInputs)
      refuse(`${where} (${op}) has ${inputCount} inputs, allowed are ${minInputs} to ${maxInputs}`);
    const inputs = [...words.subarray(at + 4, at + 4 + inputCount)];
    const cursor = {
      words: words.subarray(at + 4 + inputCount, at + size),
      at: 0,
      minor,
      where: `the .edge file is invalid: ${where} (${op})`,
      constant: (index: number, field: string): Weight =>
        tensors[index]?.data
          ? { kind: 'stored', name: names[index]! }
          : refuse(`${field} of ${where} (${op}) is tensor ${index}, which is no constant`),
    };
    const fields = readFields(schema as readonly Field[], cursor);
    if (cursor.at !== cursor.words.length && minor <= edgeLimits.VersionMinor)
      refuse(`${where} (${op}) has words too many`);
    at += size;
    for (const tensor of [...inputs, output])
      if (tensors[tensor] === undefined || tensors[tensor].data !== null)
        refuse(`${where} (${op}) computes with tensor ${tensor}, which is no value`);
    const node = named(where, op, () => decodeNode(op, fields));
    const attrs =
      op === 'constant' ? { shape: weightShape((node.weights as { value: Weight }).value, weights) } : node.attrs;
    const id = names[output]!;
    nodeTensors.push(output);
    nodes.push({
      id,
      op,
      inputs: inputs.map((tensor) => names[tensor]!),
      attrs,
      weights: node.weights,
      origin: origins.get(id) ?? [id],
    } as Node);
  }

  const borders = wordsOf(section('borders'), 'borders');
  let at = 0;
  const readBorders = (what: string): { tensor: number; name: string }[] => {
    const count = borders[at++] ?? refuse("the section 'borders' is cut off");
    if (count > edgeLimits.MaxInputs || count * 3 > borders.length - at) refuse(`its ${count} ${what}s do not fit`);
    return Array.from({ length: count }, () => {
      const [tensor, offset, size] = borders.subarray(at, (at += 3)) as unknown as [number, number, number];
      if (tensors[tensor] === undefined || tensors[tensor].data !== null)
        refuse(`an ${what} is tensor ${tensor}, which is no value`);
      return { tensor, name: text(offset, size) };
    });
  };
  const inputBorders = readBorders('input');
  const inputs = inputBorders.map(({ tensor, name }) => {
    if (name !== names[tensor]) refuse(`input '${name}' is the tensor '${names[tensor]}'`);
    return { name, shape: tensors[tensor]!.shape };
  });
  const outputBorders = readBorders('output');
  const outputs = outputBorders.map(({ tensor, name }) => ({ name, value: names[tensor]! }));
  if (at !== borders.length) refuse("the section 'borders' is longer than its lists");
  if (outputs.length === 0) refuse('it has no outputs');
  const graph: Graph = { formatVersion: '1.0', nodes, inputs, outputs, metadata };
  checkGraph(graph, weights, nodeTensors, tensors);
  const vectorSizes = [...inputBorders, ...outputBorders].map(({ tensor }) => elementCount(tensors[tensor]!.shape));
  checkTestVectors(sections.get('test-vectors'), vectorSizes);
  return { graph, weights };
}

function readSections(bytes: Uint8Array): { sections: Map<SectionKind, Uint8Array>; minor: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < edgeLimits.HeaderBytes) refuse(`it has ${bytes.length} bytes, fewer than its header`);
  if (view.getUint32(0, true) !== 0x45434744) refuse('it does not begin with DGCE');
  const version = view.getUint32(4, true);
  if (version >>> 16 !== edgeLimits.VersionMajor)
    throw new UnsupportedError(
      `the .edge file has version ${version >>> 16}.${version & 0xffff}, this reader knows ${edgeLimits.VersionMajor}.x`,
    );
  if (view.getBigUint64(16, true) !== BigInt(bytes.length))
    refuse(`its header declares ${view.getBigUint64(16, true)} bytes but it has ${bytes.length}`);
  const crc = crc32c(bytes.subarray(16));
  if (view.getUint32(8, true) !== crc) refuse(`its checksum is ${crc}, its header says ${view.getUint32(8, true)}`);
  if (view.getUint32(12, true) !== 0)
    throw new UnsupportedError('the .edge file has flags that version 1 does not define');
  if ((view.getBigUint64(24, true) & ~BigInt(edgeLimits.KnownFeatures)) !== 0n)
    throw new UnsupportedError('the .edge file requires features that this reader does not have');
  const count = view.getUint32(32, true);
  if (count > edgeLimits.MaxSections || edgeLimits.HeaderBytes + count * edgeLimits.SectionBytes > bytes.length)
    refuse(`its ${count} sections do not fit`);
  const sections = new Map<SectionKind, Uint8Array>();
  for (let index = 0; index < count; index++) {
    const at = edgeLimits.HeaderBytes + index * edgeLimits.SectionBytes;
    const kind = edgeEnums.SectionKind[view.getUint32(at, true)];
    const offset = Number(view.getBigUint64(at + 8, true));
    const size = Number(view.getBigUint64(at + 16, true));
    if (offset > bytes.length || size > bytes.length - offset) refuse(`section ${index} reaches beyond its end`);
    if (kind === undefined) {
      if (view.getUint32(at + 4, true) !== 0)
        throw new UnsupportedError(`the .edge file requires a section of the unknown kind ${view.getUint32(at, true)}`);
      continue;
    }
    if (sections.has(kind)) refuse(`the section '${kind}' occurs twice`);
    const alignment = kind === 'constants' ? edgeLimits.ConstantAlignment : 8;
    if (offset % alignment !== 0) refuse(`the section '${kind}' is not aligned to ${alignment} bytes`);
    sections.set(kind, bytes.subarray(offset, offset + size));
  }
  return { sections, minor: version & 0xffff };
}

function wordsOf(section: Uint8Array, name: string): Uint32Array {
  if (section.length % 4 !== 0) refuse(`the section '${name}' has ${section.length} bytes, no multiple of 4`);
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  return Uint32Array.from({ length: section.length / 4 }, (_, index) => view.getUint32(index * 4, true));
}

function readTensors(
  section: Uint8Array,
  constants: Uint8Array,
  text: (offset: number, size: number) => string,
): TensorRecord[] {
  const count = section.length / edgeLimits.TensorBytes;
  if (!Number.isInteger(count) || count > edgeLimits.MaxTensors)
    refuse(`the section 'tensors' has ${section.length} bytes, no multiple of ${edgeLimits.TensorBytes}`);
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  return Array.from({ length: count }, (_, index) => {
    const base = index * edgeLimits.TensorBytes;
    const word = (offset: number): number => view.getUint32(base + offset, true);
    const dataType = edgeEnums.DataType[word(0)] ?? refuse(`tensor ${index} has the unknown type ${word(0)}`);
    if (dataType !== 'float32')
      throw new UnsupportedError(
        `tensor ${index} of the .edge file has type ${dataType}; this version reads float32 only`,
      );
    if (word(4) > edgeLimits.MaxRank) refuse(`tensor ${index} has rank ${word(4)}, allowed are ${edgeLimits.MaxRank}`);
    const isConstant = word(80);
    if (isConstant > 1) refuse(`the kind of tensor ${index} is ${isConstant}, allowed are 0 and 1`);
    const shape = Array.from({ length: word(4) }, (_, axis) => word(8 + 4 * axis));
    if (
      shape.some((size) => size < 1 - isConstant || size > edgeLimits.MaxDimension) ||
      elementCount(shape) > edgeLimits.MaxElements
    )
      refuse(`tensor ${index} has shape [${shape.join(', ')}], beyond the format's limits`);
    const name = text(word(40), word(44));
    if (isConstant === 0) return { shape, name, data: null };
    const offset = Number(view.getBigUint64(base + 64, true));
    const size = Number(view.getBigUint64(base + 72, true));
    if (offset % edgeLimits.ConstantAlignment !== 0) refuse(`the data of tensor ${index} are not aligned`);
    if (offset > constants.length || size > constants.length - offset)
      refuse(`the data of tensor ${index} reach beyond the section 'constants'`);
    if (size !== elementCount(shape) * 4)
      refuse(`tensor ${index} has ${elementCount(shape)} elements but ${size} bytes`);
    return { shape, name, data: constants.subarray(offset, offset + size) };
  });
}

/** Nodes are named by their values and weights by their constants, so neither may occur twice. */
function uniqueNames(tensors: readonly TensorRecord[]): string[] {
  const seen = { values: new Set<string>(), constants: new Set<string>() };
  return tensors.map(({ name, data }) => {
    const names = data === null ? seen.values : seen.constants;
    if (names.has(name)) refuse(`two tensors are named '${name}'`);
    names.add(name);
    return name;
  });
}

function constantSource(tensors: readonly TensorRecord[]): WeightSource {
  const byName = new Map(tensors.filter(({ data }) => data !== null).map((tensor) => [tensor.name, tensor]));
  const find = (name: string): TensorRecord => {
    const tensor = byName.get(name);
    if (tensor === undefined) throw new InvalidInputError(`there is no tensor '${name}'`);
    return tensor;
  };
  return {
    names: [...byName.keys()],
    shape: (name) => find(name).shape,
    read(name) {
      const data = find(name).data!;
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      return Float32Array.from({ length: data.length / 4 }, (_, index) => view.getFloat32(index * 4, true));
    },
  };
}

/** Test vectors are for those who run the network; here they only have to be what the format says. */
function checkTestVectors(section: Uint8Array | undefined, sizes: readonly number[]): void {
  if (section === undefined) return;
  if (section.length < 16) refuse("the section 'test-vectors' is cut off");
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  const count = view.getUint32(0, true);
  const floats = sizes.reduce((sum, size) => sum + size, 0);
  if (section.length !== 16 + 4 * count * floats || (floats === 0 && count > 0))
    refuse(
      `the section 'test-vectors' has ${section.length} bytes, which ${count} vectors of ${floats} values do not fill`,
    );
  if (![4, 8, 12].every((at) => view.getFloat32(at, true) >= 0))
    refuse('a tolerance of the test vectors is not a number from 0 on');
}

function named<T>(where: string, op: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof InvalidInputError) refuse(`${where} (${op}): ${error.message}`);
    throw error;
  }
}

/** Shapes follow from the inputs as the file says, every weight has the shape that its node demands, every value is computed once. */
function checkGraph(
  graph: Graph,
  weights: WeightSource,
  nodeTensors: readonly number[],
  tensors: readonly TensorRecord[],
): void {
  const computed = new Set(graph.inputs.map(({ name }) => name));
  if (computed.size !== graph.inputs.length) refuse('two inputs have the same name');
  graph.nodes.forEach((node, index) => {
    for (const value of node.inputs)
      if (!computed.has(value)) refuse(`op ${index} (${node.op}) reads '${value}', which nothing before it computes`);
    if (computed.has(node.id)) refuse(`'${node.id}' is computed twice`);
    computed.add(node.id);
    checkKernelSize(node, index, weights);
    for (const [slot, weight] of Object.entries(node.weights as Record<string, Weight | undefined>)) {
      const demanded = named(`op ${index}`, node.op, () => slotShapes(node))[slot];
      const shape = weight === undefined ? undefined : weightShape(weight, weights);
      if (shape !== undefined && (demanded === undefined || !sameShape(shape, demanded)))
        refuse(
          `${slot} of op ${index} (${node.op}) has shape [${shape.join(', ')}], needed is [${demanded?.join(', ') ?? 'none'}]`,
        );
    }
    for (const slot of Object.keys(named(`op ${index}`, node.op, () => slotShapes(node))))
      if (slot.startsWith('pre') && !(slot in node.weights)) refuse(`op ${index} (${node.op}) has no ${slot}`);
  });
  for (const { value } of graph.outputs) if (!computed.has(value)) refuse(`nothing computes the output '${value}'`);
  let shapes: Map<string, Shape>;
  try {
    shapes = inferShapes(graph);
  } catch (error) {
    if (error instanceof DgconvError) refuse(error.message);
    throw error;
  }
  graph.nodes.forEach(({ id, op }, index) => {
    const stored = tensors[nodeTensors[index]!]!.shape;
    if (!sameShape(shapes.get(id)!, stored))
      refuse(
        `the output of op ${index} (${op}) is [${shapes.get(id)!.join(', ')}] but the file says [${stored.join(', ')}]`,
      );
  });
}

const sumOfBlocks = (blocks: readonly GroupBlock[]): number =>
  blocks.reduce((sum, { outputs, inputs }) => sum + outputs.length * inputs.length, 0);

/** Before anything is built that is as large as the connections, the kernel in the file has to be. */
function checkKernelSize(node: Node, index: number, weights: WeightSource): void {
  if (node.op !== 'conv2d') return;
  const { connectivity, kernelSize } = node.attrs;
  const elements = elementCount(weightShape(node.weights.kernel, weights));
  const { channelsOut, channelsIn } = connectivity;
  const pairs =
    connectivity.kind === 'dense'
      ? channelsOut * channelsIn
      : connectivity.kind === 'equal'
        ? (channelsOut * channelsIn) / connectivity.groups
        : connectivity.kind === 'unequal'
          ? sumOfBlocks(connectivity.blocks)
          : connectivity.kind === 'shared-inputs' || connectivity.kind === 'shared-outputs'
            ? sumOfBlocks(connectivity.classes)
            : null;
  if (pairs !== null && pairs * kernelSize[0] * kernelSize[1] !== elements)
    refuse(
      `the kernel of op ${index} (conv2d) has ${elements} elements, needed are ${pairs} × ${kernelSize[0] * kernelSize[1]}`,
    );
}
