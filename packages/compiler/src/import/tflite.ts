import {
  elementCount,
  type GraphMetadata,
  InvalidInputError,
  interpret,
  type Model,
  UnsupportedError,
} from '@dgconv/core';
import { readTfliteMetadata } from '../emit/read-metadata.js';
import { constantOf, tfliteTypeName } from './tflite-constant.js';
import { readTflite, type TfliteModel, type TfliteOperation } from './tflite-file.js';
import { type Constant, type Operand, TfliteGraph } from './tflite-graph.js';
import { TfliteNode, type TfliteOp } from './tflite-node.js';
import { elementwiseOps } from './tflite-ops/elementwise.js';
import { linearOps } from './tflite-ops/linear.js';
import { shapeOps } from './tflite-ops/shape.js';
import { windowOps } from './tflite-ops/windows.js';

export interface TfliteImportOptions {
  /** `[C, H, W]` of the images that go in, where another size than the file's is wanted. */
  readonly inputShape?: readonly [number, number, number];
}

/** Constants keep their values, which the tensor's reader has made floats of. */
const decoded: TfliteOp = (node) => {
  const input = node.input(0);
  return input.kind === 'constant'
    ? node.graph.constant(node.id, input.shape, true, () => input.read())
    : node.refuse('its input is computed in integers: only networks that compute in float32 are supported');
};

/** Importers of the operators that are supported, by TFLite's name or the custom operator's own. */
export const tfliteOps: ReadonlyMap<string, TfliteOp> = new Map([
  ...Object.entries({ ...windowOps, ...elementwiseOps, ...linearOps, ...shapeOps }),
  ['DEQUANTIZE', decoded] as const,
  ['DENSIFY', decoded] as const,
]);

/** Operators that are computed at import where all their inputs are constants: those that cost no more than their elements. */
const isFoldable = (operator: string): boolean =>
  (Object.hasOwn(shapeOps, operator) && !operator.startsWith('RESIZE')) || Object.hasOwn(elementwiseOps, operator);

/** Elements of a result that is computed at import. */
const largestFold = 2 ** 22;
/** And of all of them together. */
const largestFolds = 2 ** 26;

/**
 * Reads a TFLite model (schema version 3) that computes in float32 as a graph for batch 1, NHWC; weights may be float16, sparse or
 * quantised. Inputs and outputs have the names of the first signature, else of their tensors.
 * @throws {InvalidInputError} if the bytes are no such model.
 * @throws {UnsupportedError} naming node, operator and reason.
 */
export function importTflite(bytes: Uint8Array, options: TfliteImportOptions = {}): Model {
  return new TfliteImport(readTflite(bytes), options).model(readTfliteMetadata(bytes));
}

class TfliteImport {
  readonly #graph = new TfliteGraph();
  readonly #values: (Operand | undefined)[];
  #folded = 0;
  #isResized = false;

  constructor(
    readonly file: TfliteModel,
    readonly options: TfliteImportOptions,
  ) {
    this.#values = file.tensors.map(() => undefined);
  }

  model({ preprocessing, classNames, producer }: Partial<GraphMetadata>): Model {
    const { inputs, operations, outputs, name } = this.file;
    if (inputs.length === 0) throw new UnsupportedError('the model has no inputs: there is nothing to run');
    if (outputs.length === 0) throw new InvalidInputError('the model has no outputs');
    for (const { name: input, tensor } of inputs) this.#input(input, tensor);
    operations.forEach((operation, index) => this.#operation(operation, index));
    const results = outputs.map(({ name: output, tensor }) => {
      const value = this.#values[tensor] ?? this.#constant(tensor);
      if (value === null) throw new InvalidInputError(`the output '${output}' is computed by no operation`);
      return { name: output, value: this.#graph.materialise(value, output, output).id };
    });
    return this.#graph.finish(results, {
      name: name === '' ? 'model' : name,
      ...(producer === undefined ? {} : { producer }),
      ...(preprocessing === undefined ? {} : { preprocessing }),
      ...(classNames === undefined ? {} : { classNames }),
    });
  }

  #input(name: string, tensor: number): void {
    const { shape, type } = this.file.tensors[tensor]!;
    if (tfliteTypeName(type) !== 'float32')
      throw new UnsupportedError(`the input '${name}' is ${tfliteTypeName(type)}: only float32 inputs are supported`);
    const { inputShape } = this.options;
    const isImage = shape.length === 4 && this.file.inputs.length === 1 && inputShape !== undefined;
    const wanted = isImage ? [shape[0]!, inputShape[1], inputShape[2], shape[3]!] : shape;
    this.#isResized = wanted.join() !== shape.join();
    if (wanted.length === 0 || wanted.includes(0))
      throw new UnsupportedError(`the input '${name}' has the shape [${wanted.join(', ')}], which holds nothing`);
    this.#values[tensor] = this.#graph.input(name, wanted);
  }

  /** Name of a tensor in messages and in the graph: the file's, or its number. */
  #nameOf(tensor: number): string {
    const border = this.file.outputs.find((output) => output.tensor === tensor);
    const name = border?.name ?? this.file.tensors[tensor]!.name;
    return name === '' ? `tensor ${tensor}` : name;
  }

  #constant(tensor: number): Constant | null {
    const found = this.file.tensors[tensor]!;
    return found.bytes === null ? null : constantOf(this.#graph, found, found.bytes, this.#nameOf(tensor));
  }

  #operation(operation: TfliteOperation, index: number): void {
    const { operator, outputs } = operation;
    const names = outputs.map((tensor) => this.#nameOf(tensor));
    const where = `node '${names[0] ?? index}' (${operator})`;
    if (names.length === 0) throw new InvalidInputError(`${where} has no output`);
    const inputs = operation.inputs.map((tensor): Operand | null => {
      if (tensor < 0) return null;
      const value = (this.#values[tensor] ??= this.#constant(tensor) ?? undefined);
      if (value === undefined)
        throw new InvalidInputError(`${where} reads '${this.#nameOf(tensor)}', which no earlier operation computes`);
      return value;
    });
    const rule = tfliteOps.get(operator);
    if (rule === undefined)
      throw new UnsupportedError(`${where}: the ${operation.isCustom ? 'custom ' : ''}operator is not supported`);
    let results: readonly Operand[];
    try {
      results = this.#results(rule, operation, names, inputs);
    } catch (error) {
      if (error instanceof InvalidInputError && !error.message.includes(names[0]!))
        throw new InvalidInputError(`${where}: ${error.message}`, { cause: error });
      throw error;
    }
    outputs.forEach((tensor, place) => {
      if (this.#values[tensor] !== undefined)
        throw new InvalidInputError(`${where} computes '${names[place]}', which is there already`);
      const result = results[place];
      const type = tfliteTypeName(this.file.tensors[tensor]!.type);
      if (result === undefined) throw new UnsupportedError(`${where}: its output '${names[place]}' is not supported`);
      if (result.kind === 'dynamic' && type !== 'float32')
        throw new UnsupportedError(`${where} computes ${type}: only networks that compute in float32 are supported`);
      this.#values[tensor] = result;
    });
  }

  #results(
    rule: TfliteOp,
    operation: TfliteOperation,
    names: readonly string[],
    inputs: readonly (Operand | null)[],
  ): readonly Operand[] {
    const apply = (graph: TfliteGraph, operands: readonly (Operand | null)[]): readonly Operand[] => {
      const given = rule(new TfliteNode(operation, names, operands, graph, this.#isResized));
      return Array.isArray(given) ? (given as readonly Operand[]) : [given as Operand];
    };
    const known = inputs.filter((input) => input?.kind === 'constant');
    const count = known.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    if (known.length !== inputs.length || !isFoldable(operation.operator) || count > largestFold)
      return apply(this.#graph, inputs);
    // What depends on constants alone is a network of its own, which the interpreter computes.
    const scratch = new TfliteGraph();
    const results = apply(
      scratch,
      known.map(({ shape, isFloat, read }) => scratch.constant('constant', shape, isFloat, read)),
    );
    if (results.every(({ kind }) => kind === 'constant')) return results;
    const isFloat = known[0]?.isFloat ?? true;
    this.#folded += results.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    if (this.#folded > largestFolds)
      throw new UnsupportedError('the model computes more with constants than is supported');
    const outputs = results.map((result, index) => ({
      name: String(index),
      value: scratch.materialise(result, names[index]!, names[index]!).id,
    }));
    const values = interpret(scratch.finish(outputs, { name: 'constants' }), {});
    return results.map(({ shape }, index) =>
      this.#graph.constant(names[index]!, shape, isFloat, () => values[String(index)]!),
    );
  }
}
