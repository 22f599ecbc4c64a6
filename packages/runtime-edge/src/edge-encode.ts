import {
  elementCount,
  inferShapes,
  InvalidInputError,
  type Model,
  readWeight,
  type Shape,
  UnsupportedError,
  type Weight,
  weightShape,
} from '@dgconv/core';
import { crc32c } from './crc32c.js';
import { type EdgeOpName, type Field, writeFields } from './edge-fields.js';
import { encodeNode } from './edge-nodes.js';
import { edgeEnums, edgeLimits, edgeOps } from './edge-schema.js';

/** Inputs and outputs by name, batch 1, that a file carries to prove itself on a board. */
export interface TestVector {
  readonly inputs: Readonly<Record<string, Float32Array>>;
  readonly outputs: Readonly<Record<string, Float32Array>>;
}

/** Optional contents of a `.edge` file. */
export interface EncodeEdgeOptions {
  readonly testVectors?: readonly TestVector[];
  /**
   * What a self-test allows a value to differ by: `ofLargest` · the largest magnitude of its output + `relative` · its own
   * magnitude + `absolute`; each 0 unless it is given. Default: 1e-4 of the largest.
   */
  readonly tolerance?: { readonly ofLargest?: number; readonly relative?: number; readonly absolute?: number };
}

interface TensorEntry {
  readonly shape: Shape;
  readonly name: string;
  readonly weight?: Weight;
}

const align = (offset: number, alignment: number): number => Math.ceil(offset / alignment) * alignment;

/**
 * A model as the bytes of a `.edge` file (docs/edge-format.md): the same model gives the same bytes.
 * @throws {UnsupportedError} if a convolution's connectivity is masked or learned.
 * @throws {InvalidInputError} if the graph is inconsistent or something exceeds the format's limits.
 */
export function encodeEdge({ graph, weights: source }: Model, options: EncodeEdgeOptions = {}): Uint8Array {
  const shapes = inferShapes(graph);
  const tensors: TensorEntry[] = [];
  const values = new Map<string, number>();
  const add = (entry: TensorEntry): number => {
    checkTensor(entry);
    return tensors.push(entry) - 1;
  };
  for (const { name, shape } of graph.inputs) values.set(name, add({ shape, name }));

  const ops: number[] = [];
  for (const node of graph.nodes) {
    const words: number[] = [];
    let op: EdgeOpName;
    try {
      const encoded = encodeNode(node);
      op = encoded.op;
      writeFields(edgeOps[op].fields as readonly Field[], encoded.fields, words, (slot, weight) =>
        add({ shape: weightShape(weight, source), name: `${node.id}.${slot}`, weight }),
      );
    } catch (error) {
      const message = error instanceof Error ? `node '${node.id}' (${node.op}): ${error.message}` : '';
      if (error instanceof InvalidInputError) throw new InvalidInputError(message, { cause: error });
      if (error instanceof UnsupportedError) throw new UnsupportedError(message, { cause: error });
      throw error;
    }
    const inputs = node.inputs.map((value) => values.get(value)!);
    const output = add({ shape: shapes.get(node.id)!, name: node.id });
    values.set(node.id, output);
    ops.push(edgeOps[op].code, 4 + inputs.length + words.length, output, inputs.length, ...inputs);
    for (const word of words) ops.push(word);
  }

  const strings = new StringTable();
  const tensorNames = tensors.map(({ name }) => strings.add(name));
  const borders: number[] = [];
  borders.push(graph.inputs.length);
  for (const { name } of graph.inputs) borders.push(values.get(name)!, ...strings.add(name));
  borders.push(graph.outputs.length);
  for (const { name, value } of graph.outputs) borders.push(values.get(value)!, ...strings.add(name));

  let constantBytes = 0;
  const constantOffsets = tensors.map(({ weight, shape }) => {
    if (weight === undefined) return 0;
    const offset = align(constantBytes, edgeLimits.ConstantAlignment);
    constantBytes = offset + elementCount(shape) * 4;
    return offset;
  });

  const sections: Section[] = [
    { kind: 'strings', bytes: strings.size, write: (at) => strings.write(at) },
    {
      kind: 'tensors',
      bytes: tensors.length * edgeLimits.TensorBytes,
      write: (at) => writeTensors(at, tensors, tensorNames, constantOffsets),
    },
    { kind: 'ops', bytes: ops.length * 4, write: (at) => writeWords(at, ops) },
    { kind: 'borders', bytes: borders.length * 4, write: (at) => writeWords(at, borders) },
  ];
  const metadata = new TextEncoder().encode(metadataJson(graph));
  sections.push({ kind: 'metadata', bytes: metadata.length, write: (at) => bytesAt(at).set(metadata) });
  const vectors = testVectorFloats(graph, shapes, options);
  if (vectors !== null)
    sections.push({ kind: 'test-vectors', bytes: vectors.byteLength, write: (at) => bytesAt(at).set(vectors) });
  sections.push({
    kind: 'constants',
    bytes: constantBytes,
    write: (at) =>
      tensors.forEach(({ weight, name, shape }, index) => {
        if (weight === undefined) return;
        const floats = readWeight(weight, source);
        if (floats.length !== elementCount(shape))
          throw new Error(`internal: '${name}' has ${floats.length} values, its shape says ${elementCount(shape)}`);
        writeFloats(at, constantOffsets[index]!, floats);
      }),
  });
  return writeFile(sections);
}

interface Section {
  readonly kind: (typeof edgeEnums.SectionKind)[number];
  readonly bytes: number;
  write(at: DataView): void;
}

function writeFile(sections: readonly Section[]): Uint8Array {
  let end = edgeLimits.HeaderBytes + sections.length * edgeLimits.SectionBytes;
  const offsets = sections.map(({ kind, bytes }) => {
    const offset = align(end, kind === 'constants' ? edgeLimits.ConstantAlignment : 8);
    end = offset + bytes;
    return offset;
  });
  const file = new Uint8Array(end);
  const view = new DataView(file.buffer);
  file.set([0x44, 0x47, 0x43, 0x45]);
  view.setUint32(4, (edgeLimits.VersionMajor << 16) | edgeLimits.VersionMinor, true);
  view.setBigUint64(16, BigInt(end), true);
  view.setUint32(32, sections.length, true);
  sections.forEach(({ kind, bytes, write }, index) => {
    const at = edgeLimits.HeaderBytes + index * edgeLimits.SectionBytes;
    view.setUint32(at, edgeEnums.SectionKind.indexOf(kind), true);
    view.setUint32(at + 4, kind === 'metadata' || kind === 'test-vectors' ? 0 : 1, true);
    view.setBigUint64(at + 8, BigInt(offsets[index]!), true);
    view.setBigUint64(at + 16, BigInt(bytes), true);
    write(new DataView(file.buffer, offsets[index], bytes));
  });
  view.setUint32(8, crc32c(file.subarray(16)), true);
  return file;
}

/** Names, each once, behind one another. */
class StringTable {
  readonly #offsets = new Map<string, [number, number]>();
  readonly #parts: Uint8Array[] = [];
  size = 0;

  add(text: string): [offset: number, bytes: number] {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const bytes = new TextEncoder().encode(text);
    const place: [number, number] = [this.size, bytes.length];
    this.#offsets.set(text, place);
    this.#parts.push(bytes);
    this.size += bytes.length;
    return place;
  }

  write(at: DataView): void {
    let offset = 0;
    for (const part of this.#parts) {
      bytesAt(at).set(part, offset);
      offset += part.length;
    }
  }
}

const bytesAt = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

function writeWords(at: DataView, words: readonly number[]): void {
  words.forEach((word, index) => at.setUint32(index * 4, word, true));
}

const isLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function writeFloats(at: DataView, offset: number, floats: Float32Array): void {
  if (isLittleEndian) bytesAt(at).set(new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength), offset);
  else floats.forEach((value, index) => at.setFloat32(offset + index * 4, value, true));
}

function writeTensors(
  at: DataView,
  tensors: readonly TensorEntry[],
  names: readonly (readonly [number, number])[],
  constantOffsets: readonly number[],
): void {
  tensors.forEach(({ shape, weight }, index) => {
    const base = index * edgeLimits.TensorBytes;
    at.setUint32(base, edgeEnums.DataType.indexOf('float32'), true);
    at.setUint32(base + 4, shape.length, true);
    shape.forEach((size, axis) => at.setUint32(base + 8 + 4 * axis, size, true));
    at.setUint32(base + 40, names[index]![0], true);
    at.setUint32(base + 44, names[index]![1], true);
    at.setFloat32(base + 48, 1, true);
    at.setInt32(base + 56, -1, true);
    at.setUint32(base + 60, edgeLimits.NoTensor, true);
    if (weight === undefined) return;
    at.setBigUint64(base + 64, BigInt(constantOffsets[index]!), true);
    at.setBigUint64(base + 72, BigInt(elementCount(shape) * 4), true);
    at.setUint32(base + 80, 1, true);
  });
}

function checkTensor({ shape, name, weight }: TensorEntry): void {
  const smallest = weight === undefined ? 1 : 0;
  if (shape.length > edgeLimits.MaxRank || shape.some((size) => size < smallest || size > edgeLimits.MaxDimension))
    throw new InvalidInputError(
      `'${name}' has shape [${shape.join(', ')}]: .edge holds up to ${edgeLimits.MaxRank} dimensions of ${smallest} to ${edgeLimits.MaxDimension}`,
    );
  if (elementCount(shape) > edgeLimits.MaxElements)
    throw new InvalidInputError(
      `'${name}' has ${elementCount(shape)} values: .edge holds up to ${edgeLimits.MaxElements}`,
    );
}

/** What the tables do not say: the graph's metadata, and the imported nodes that a node came from. */
function metadataJson({ metadata, nodes }: Model['graph']): string {
  const origins = Object.fromEntries(
    nodes
      .filter(({ id, origin }) => !(origin.length === 1 && origin[0] === id))
      .map(({ id, origin }) => [id, origin] as const),
  );
  return JSON.stringify({ ...metadata, origins });
}

function testVectorFloats(
  { inputs, outputs }: Model['graph'],
  shapes: ReadonlyMap<string, Shape>,
  { testVectors = [], tolerance = { ofLargest: 1e-4 } }: EncodeEdgeOptions,
): Uint8Array | null {
  if (testVectors.length === 0) return null;
  const parts = testVectors.flatMap((vector) => [
    ...inputs.map(({ name, shape }) => ({ name, values: vector.inputs[name], size: elementCount(shape) })),
    ...outputs.map(({ name, value }) => ({
      name,
      values: vector.outputs[name],
      size: elementCount(shapes.get(value)!),
    })),
  ]);
  const view = new DataView(new ArrayBuffer(16 + 4 * parts.reduce((sum, { size }) => sum + size, 0)));
  view.setUint32(0, testVectors.length, true);
  view.setFloat32(4, tolerance.ofLargest ?? 0, true);
  view.setFloat32(8, tolerance.relative ?? 0, true);
  view.setFloat32(12, tolerance.absolute ?? 0, true);
  let at = 16;
  for (const { name, values, size } of parts) {
    if (values?.length !== size)
      throw new InvalidInputError(`a test vector has ${values?.length ?? 0} values for '${name}', needed are ${size}`);
    writeFloats(view, at, values);
    at += size * 4;
  }
  return bytesAt(view);
}
