import { elementCount, UnsupportedError } from '@dgconv/core';
import type { OnnxAttribute, OnnxNode } from './onnx-file.js';
import type { Constant, Dynamic, Form, OnnxGraphBuilder, Operand } from './onnx-graph.js';
import type { NewNode } from './new-node.js';

/** Shape arithmetic beyond this many numbers is no shape arithmetic. */
const largestFold = 2 ** 22;

/** What an importer of one operator gives: one output, or all of them in order. */
export type OnnxOp = (node: OnnxNodeContext) => Operand | readonly Operand[];

/** One ONNX node with its inputs, as an operator's importer sees it. */
export class OnnxNodeContext {
  constructor(
    readonly node: OnnxNode,
    readonly inputs: readonly (Operand | null)[],
    readonly opset: number,
    readonly builder: OnnxGraphBuilder,
  ) {}

  /** Name that the importer's nodes get: the ONNX node's, else its first output's. */
  get id(): string {
    return this.node.name !== '' ? this.node.name : this.node.outputs.find((output) => output !== '')!;
  }

  /** @throws {UnsupportedError} with node, operator and the reason. */
  refuse(reason: string): never {
    throw new UnsupportedError(`node '${this.id}' (${this.node.operator}): ${reason}`);
  }

  #attribute(name: string): OnnxAttribute | undefined {
    return this.node.attributes.get(name);
  }

  has(name: string): boolean {
    return this.node.attributes.has(name);
  }

  int(name: string, fallback: number): number {
    return this.#attribute(name)?.int ?? fallback;
  }

  float(name: string, fallback: number): number {
    return this.#attribute(name)?.float ?? fallback;
  }

  string(name: string, fallback: string): string {
    return this.#attribute(name)?.string ?? fallback;
  }

  ints(name: string): readonly number[] | null {
    return this.#attribute(name)?.ints ?? null;
  }

  floats(name: string): readonly number[] | null {
    return this.#attribute(name)?.floats ?? null;
  }

  attribute(name: string): OnnxAttribute | null {
    return this.#attribute(name) ?? null;
  }

  optional(index: number): Operand | null {
    return this.inputs[index] ?? null;
  }

  input(index: number): Operand {
    return this.optional(index) ?? this.refuse(`input ${index} is missing`);
  }

  /** An input that the network computes; a constant becomes a node. */
  dynamic(index: number): Dynamic {
    const input = this.input(index);
    if (input.kind === 'constant' && !input.isFloat) this.refuse(`input ${index} is not floating-point`);
    return this.builder.materialise(input, this.node.inputs[index]!, this.id);
  }

  /** An input that must be known at import. */
  constant(index: number): Constant {
    const input = this.input(index);
    return input.kind === 'constant' ? input : this.refuse(`input ${index} must be a constant`);
  }

  optionalConstant(index: number): Constant | null {
    return this.optional(index) === null ? null : this.constant(index);
  }

  /** The values of a constant input that is small: a shape, a list of axes. */
  numbers(index: number): number[] {
    return numbersOf(this.constant(index), this);
  }

  /** A list that older operator sets have as an attribute and newer ones as an input; null if it is not there. */
  list(attribute: string, index: number): readonly number[] | null {
    return this.ints(attribute) ?? (this.optional(index) === null ? null : this.numbers(index));
  }

  /** An axis counted from the end or the start. */
  axis(axis: number, rank: number): number {
    const counted = axis < 0 ? axis + rank : axis;
    if (!Number.isInteger(counted) || counted < 0 || counted >= rank) {
      this.refuse(`axis ${axis} is outside ${rank} dimensions`);
    }
    return counted;
  }

  /** Adds a node named after this one, or after one of its parts. */
  add(node: NewNode, part = ''): string {
    return this.builder.add(part === '' ? this.id : `${this.id}.${part}`, this.id, node);
  }

  /** The result of a node in a form, with the shape of ONNX's order. */
  result(form: Form, id: string): Dynamic {
    const ordered = this.builder.shape(id);
    const rank = ordered.length;
    const shape =
      form === 'given' || rank < 3
        ? ordered
        : ordered.map((_, axis) => ordered[axis === 0 ? 0 : axis === 1 ? rank - 1 : axis - 1]!);
    return form === 'given' || rank < 3
      ? { kind: 'dynamic', shape, given: id, last: null }
      : { kind: 'dynamic', shape, given: null, last: id };
  }

  /** Adds a node that works on every element alike, in whichever order x is there. */
  pointwise(x: Dynamic, node: (inputs: string[]) => NewNode, part = ''): Dynamic {
    const form = this.builder.preferredForm([x]);
    return this.result(form, this.add(node([this.builder.in(form, x)]), part));
  }

  /** @throws {UnsupportedError} if somebody reads an output after the first `count`. */
  onlyOutputs(count: number): void {
    const extra = this.node.outputs.slice(count).find((output) => output !== '');
    if (extra !== undefined) this.refuse(`its output '${extra}' is not supported`);
  }
}

/** Values of a small constant. @throws {UnsupportedError} if it is large. */
export function numbersOf(constant: Constant, context: OnnxNodeContext): number[] {
  if (elementCount(constant.shape) > largestFold) {
    context.refuse(`a constant of ${elementCount(constant.shape)} numbers is too large to be shape arithmetic`);
  }
  return Array.from(constant.read());
}
