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
  /** A nested graph (If, Loop): none of our operators has one. */
  readonly isGraph: boolean;
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
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Decodes a model without copying its tensors: only what an importer needs, each message iteratively.
 * @throws {InvalidInputError} if the bytes are no ONNX model.
 */
export function decodeOnnx(bytes: Uint8Array): OnnxModel {
  try {
    return decodeModel(bytes);
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidInputError(`not a readable ONNX model: ${reason}`, { cause: error });
  }
}

function decodeModel(bytes: Uint8Array): OnnxModel {
  let producer = '';
  let graph: OnnxGraph | null = null;
  const opsets = new Map<string, number>();
  const metadata = new Map<string, string>();
  eachField(bytes, (field, wire, reader) => {
    if (wire !== 2) return false;
    if (field === 2) producer = reader.string();
    else if (field === 7) graph = decodeGraph(reader.bytes());
    else if (field === 8) {
      let domain = '';
      let version = 0;
      eachField(reader.bytes(), (entry, entryWire, entryReader) => {
        if (entry === 1 && entryWire === 2) domain = entryReader.string();
        else if (entry === 2 && entryWire === 0) version = readInt64(entryReader);
        else return false;
        return true;
      });
      opsets.set(domain === 'ai.onnx' ? '' : domain, version);
    } else if (field === 14) {
      const [key, value] = decodeEntry(reader.bytes());
      metadata.set(key, value);
    } else return false;
    return true;
  });
  if (graph === null) throw new InvalidInputError('not an ONNX model: it has no graph');
  return { producer, opsets, graph, metadata };
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
  let isGraph = false;
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
    } else if ((field === 6 || field === 11) && wire === 2) {
      isGraph = true;
      return false;
    } else return false;
    return true;
  });
  return { name, float, int, string, tensor, floats, ints, isGraph };
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
