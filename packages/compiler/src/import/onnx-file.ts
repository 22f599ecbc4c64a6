import { InvalidInputError } from '@dgconv/core';
import { decodeEntry, eachField, readInt64 } from './onnx-fields.js';
import { decodeOnnxTensor, type OnnxTensor } from './onnx-tensor.js';

/** An attribute of a node; exactly one of the fields is what the operator reads. */
export interface OnnxAttribute {
  readonly name: string;
  readonly float: number | null;
  readonly int: number | null;
  readonly string: string | null;
  readonly tensor: OnnxTensor | null;
  readonly floats: readonly number[];
  readonly ints: readonly number[];
  /** The bytes of a nested graph, as the branches of an If have it: {@link decodeNestedGraph} reads them. */
  readonly graph: Uint8Array | null;
  /** Within a function: the attribute of the call whose value this one has. */
  readonly reference: string | null;
}

export interface OnnxNode {
  readonly name: string;
  readonly operator: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  /** Empty names are optional inputs that are not there. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
}

/** A graph input or output; a dimension is a number, or a name or null where the file leaves it open. */
export interface OnnxValue {
  readonly name: string;
  /** Null where the value is not a tensor. */
  readonly elementType: number | null;
  readonly dimensions: readonly (number | string | null)[] | null;
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/** The parts of an ONNX ModelProto that matter here; tensors still point into the file's bytes. */
export interface OnnxModel {
  readonly producer: string;
  /** Version of each operator set by domain, ONNX's own under the empty name. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly graph: OnnxGraph;
  /** Functions that the model defines itself, by {@link functionKey}. */
  readonly functions: ReadonlyMap<string, OnnxFunction>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** An operator that the model spells out in others. */
export interface OnnxFunction {
  readonly name: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly OnnxNode[];
  /** Attributes that a call may leave out. */
  readonly defaults: ReadonlyMap<string, OnnxAttribute>;
  readonly opsets: ReadonlyMap<string, number>;
}

/** Under what a function is found by the nodes that call it. */
export function functionKey(domain: string, name: string): string {
  return `${domain}:${name}`;
}

/**
 * Decodes a model without copying its tensors: only what an importer needs, each message iteratively.
 * @throws {InvalidInputError} if the bytes are no ONNX model.
 */
export function decodeOnnx(bytes: Uint8Array): OnnxModel {
  return decoding(() => decodeModel(bytes));
}

function decoding<Result>(decode: () => Result): Result {
  try {
    return decode();
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidInputError(`not a readable ONNX model: ${reason}`, { cause: error });
  }
}

function decodeModel(bytes: Uint8Array): OnnxModel {
  let producer = '';
  let graph: OnnxGraph | null = null;
  const functions = new Map<string, OnnxFunction>();
  const opsets = new Map<string, number>();
  const metadata = new Map<string, string>();
  eachField(bytes, (field, wire, reader) => {
    if (wire !== 2) return false;
    if (field === 2) producer = reader.string();
    else if (field === 7) graph = decodeGraph(reader.bytes());
    else if (field === 8) opsets.set(...decodeOpset(reader.bytes()));
    else if (field === 14) metadata.set(...decodeEntry(reader.bytes()));
    else if (field === 25) {
      const decoded = decodeFunction(reader.bytes());
      functions.set(functionKey(decoded.domain, decoded.name), decoded);
    } else return false;
    return true;
  });
  if (graph === null) throw new InvalidInputError('not an ONNX model: it has no graph');
  return { producer, opsets, graph, functions, metadata };
}

function decodeOpset(bytes: Uint8Array): [domain: string, version: number] {
  let domain = '';
  let version = 0;
  eachField(bytes, (field, wire, reader) => {
    if (field === 1 && wire === 2) domain = reader.string();
    else if (field === 2 && wire === 0) version = readInt64(reader);
    else return false;
    return true;
  });
  return [domain === 'ai.onnx' ? '' : domain, version];
}

function decodeFunction(bytes: Uint8Array): OnnxFunction {
  let [name, domain] = ['', ''];
  const [inputs, outputs]: [string[], string[]] = [[], []];
  const nodes: OnnxNode[] = [];
  const defaults = new Map<string, OnnxAttribute>();
  const opsets = new Map<string, number>();
  eachField(bytes, (field, wire, reader) => {
    if (wire !== 2) return false;
    if (field === 1) name = reader.string();
    else if (field === 4) inputs.push(reader.string());
    else if (field === 5) outputs.push(reader.string());
    else if (field === 7) nodes.push(decodeNode(reader.bytes()));
    else if (field === 9) opsets.set(...decodeOpset(reader.bytes()));
    else if (field === 10) domain = reader.string();
    else if (field === 11) {
      const attribute = decodeAttribute(reader.bytes());
      defaults.set(attribute.name, attribute);
    } else return false;
    return true;
  });
  return { name, domain, inputs, outputs, nodes, defaults, opsets };
}

/**
 * The graph of an attribute.
 * @throws {InvalidInputError} if the bytes are none.
 */
export function decodeNestedGraph(bytes: Uint8Array): OnnxGraph {
  return decoding(() => decodeGraph(bytes));
}

function decodeGraph(bytes: Uint8Array): OnnxGraph {
  let name = '';
  const nodes: OnnxNode[] = [];
  const initializers = new Map<string, OnnxTensor>();
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  eachField(bytes, (field, wire, reader) => {
    if (wire !== 2) return false;
    switch (field) {
      case 1:
        nodes.push(decodeNode(reader.bytes()));
        return true;
      case 2:
        name = reader.string();
        return true;
      case 5: {
        const tensor = decodeOnnxTensor(reader.bytes());
        initializers.set(tensor.name, tensor);
        return true;
      }
      case 11:
        inputs.push(decodeValue(reader.bytes()));
        return true;
      case 12:
        outputs.push(decodeValue(reader.bytes()));
        return true;
      case 15:
        throw new InvalidInputError('the model has sparse initialisers, which are not supported');
      default:
        return false;
    }
  });
  return { name, nodes, initializers, inputs, outputs };
}

function decodeNode(bytes: Uint8Array): OnnxNode {
  let [name, operator, domain] = ['', '', ''];
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, OnnxAttribute>();
  eachField(bytes, (field, wire, reader) => {
    if (wire !== 2) return false;
    if (field === 1) inputs.push(reader.string());
    else if (field === 2) outputs.push(reader.string());
    else if (field === 3) name = reader.string();
    else if (field === 4) operator = reader.string();
    else if (field === 7) domain = reader.string();
    else if (field === 5) {
      const attribute = decodeAttribute(reader.bytes());
      attributes.set(attribute.name, attribute);
    } else return false;
    return true;
  });
  return { name, operator, domain: domain === 'ai.onnx' ? '' : domain, inputs, outputs, attributes };
}

function decodeAttribute(bytes: Uint8Array): OnnxAttribute {
  let name = '';
  let float: number | null = null;
  let int: number | null = null;
  let string: string | null = null;
  let tensor: OnnxTensor | null = null;
  let graph: Uint8Array | null = null;
  let reference: string | null = null;
  const floats: number[] = [];
  const ints: number[] = [];
  eachField(bytes, (field, wire, reader) => {
    if (field === 1 && wire === 2) name = reader.string();
    else if (field === 2 && wire === 5) float = reader.float();
    else if (field === 3 && wire === 0) int = readInt64(reader);
    else if (field === 4 && wire === 2) string = reader.string();
    else if (field === 5 && wire === 2) tensor = decodeOnnxTensor(reader.bytes());
    else if (field === 7 && wire === 5) floats.push(reader.float());
    else if (field === 8 && wire === 0) ints.push(readInt64(reader));
    else if ((field === 7 || field === 8) && wire === 2) {
      const end = reader.uint32() + reader.pos;
      if (end > reader.len) throw new InvalidInputError(`the list of attribute '${name}' ends outside the file`);
      while (reader.pos < end) {
        if (field === 7) floats.push(reader.float());
        else ints.push(readInt64(reader));
      }
    } else if (field === 6 && wire === 2) graph = reader.bytes();
    else if (field === 21 && wire === 2) reference = reader.string();
    else return false;
    return true;
  });
  return { name, float, int, string, tensor, floats, ints, graph, reference };
}

function decodeValue(bytes: Uint8Array): OnnxValue {
  let name = '';
  let elementType: number | null = null;
  let dimensions: (number | string | null)[] | null = null;
  eachField(bytes, (field, wire, reader) => {
    if (field === 1 && wire === 2) {
      name = reader.string();
      return true;
    }
    if (field !== 2 || wire !== 2) return false;
    eachField(reader.bytes(), (type, typeWire, typeReader) => {
      if (type !== 1 || typeWire !== 2) return false;
      eachField(typeReader.bytes(), (part, partWire, partReader) => {
        if (part === 1 && partWire === 0) elementType = partReader.int32();
        else if (part === 2 && partWire === 2) dimensions = decodeShape(partReader.bytes());
        else return false;
        return true;
      });
      return true;
    });
    return true;
  });
  return { name, elementType, dimensions };
}

function decodeShape(bytes: Uint8Array): (number | string | null)[] {
  const dimensions: (number | string | null)[] = [];
  eachField(bytes, (field, wire, reader) => {
    if (field !== 1 || wire !== 2) return false;
    let dimension: number | string | null = null;
    eachField(reader.bytes(), (part, partWire, partReader) => {
      if (part === 1 && partWire === 0) dimension = readInt64(partReader);
      else if (part === 2 && partWire === 2) dimension = partReader.string();
      else return false;
      return true;
    });
    dimensions.push(dimension);
    return true;
  });
  return dimensions;
}
