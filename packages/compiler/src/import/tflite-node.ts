import { type Activation, elementCount, InvalidInputError, type Shape, UnsupportedError } from '@dgconv/core';
import type { TfliteOperation } from './tflite-file.js';
import type { Constant, Dynamic, Operand, TfliteGraph } from './tflite-graph.js';
import type { NewNode } from './new-node.js';

/** What an importer of one operator gives: one output, or all of them in order. */
export type TfliteOp = (node: TfliteNode) => Operand | readonly Operand[];

/** Activations that TFLite fuses into other operators, by code. */
const fusedActivations: readonly (Activation | null)[] = [
  { function: 'identity' },
  { function: 'relu' },
  { function: 'clip', alpha: -1, beta: 1 },
  { function: 'relu6' },
  { function: 'tanh' },
];

/** One operation of a TFLite file with its inputs, as an operator's importer sees it. */
export class TfliteNode {
  constructor(
    readonly operation: TfliteOperation,
    /** Names of the results; the first is what messages call the operation. */
    readonly names: readonly string[],
    readonly inputs: readonly (Operand | null)[],
    readonly graph: TfliteGraph,
    /** Whether images have another size than the file says, so that sizes that it has computed are stale. */
    readonly isResized: boolean,
  ) {}

  get id(): string {
    return this.names[0]!;
  }

  /** @throws {UnsupportedError} with node, operator and the reason. */
  refuse(reason: string): never {
    throw new UnsupportedError(`node '${this.id}' (${this.operation.operator}): ${reason}`);
  }

  /** A byte (enum, boolean) of the operator's options. */
  byte(slot: number, absent = 0): number {
    return this.operation.options?.int8(slot, absent) ?? absent;
  }

  int(slot: number, absent = 0): number {
    return this.operation.options?.int32(slot, absent) ?? absent;
  }

  float(slot: number, absent = 0): number {
    return this.operation.options?.float32(slot, absent) ?? absent;
  }

  ints(slot: number): readonly number[] {
    return this.operation.options?.int32s(slot) ?? [];
  }

  /** The activation that is fused into the operation. */
  fused(slot: number): Activation {
    const code = this.byte(slot);
    return fusedActivations[code] ?? this.refuse(`the fused activation ${code} is not supported`);
  }

  optional(index: number): Operand | null {
    return this.inputs[index] ?? null;
  }

  input(index: number): Operand {
    return this.optional(index) ?? this.refuse(`input ${index} is missing`);
  }

  /** An input as a value of the network; a constant becomes a node. */
  value(index: number): Dynamic {
    const input = this.input(index);
    if (input.kind === 'dynamic') return input;
    return this.graph.materialise(input, `${this.id}/constant`, this.id);
  }

  /** An input that must be known at import. */
  constant(index: number): Constant {
    const input = this.input(index);
    return input.kind === 'constant' ? input : this.refuse(`input ${index} must be a constant`);
  }

  /** The values of a constant input that is small: a shape, a list of axes. */
  numbers(index: number): number[] {
    const constant = this.constant(index);
    if (elementCount(constant.shape) > 2 ** 20)
      this.refuse(`input ${index} has ${elementCount(constant.shape)} numbers`);
    return [...constant.read()];
  }

  /** An axis counted from the end or the start. */
  axis(axis: number, rank: number): number {
    const counted = axis < 0 ? axis + rank : axis;
    if (!Number.isInteger(counted) || counted < 0 || counted >= rank)
      this.refuse(`axis ${axis} is outside ${rank} dimensions`);
    return counted;
  }

  /** The images `[N, H, W, C]` that an input is. */
  images(index: number): Dynamic {
    const value = this.value(index);
    return value.shape.length === 4 ? value : this.refuse(`input ${index} has rank ${value.shape.length}, not 4`);
  }

  /** Adds a node that computes the result, or a part of it. */
  add(node: NewNode, part = ''): Dynamic {
    return this.graph.add(part === '' ? this.id : `${this.id}/${part}`, this.id, node);
  }

  /** Adds a node that computes the result, followed by an activation. */
  addActivated(node: NewNode, activation: Activation): Dynamic {
    return activation.function === 'identity' ? this.add(node) : this.activate(this.add(node, 'linear'), activation);
  }

  /** The result as an activation of a value. */
  activate(x: Dynamic, activation: Activation, part = ''): Dynamic {
    return this.add({ op: 'activation', inputs: [x.id], attrs: { activation }, weights: {} }, part);
  }

  binary(left: Dynamic, right: Dynamic, name: 'add' | 'subtract' | 'multiply' | 'divide', part = ''): Dynamic {
    const attrs = { function: name, activation: { function: 'identity' } } as const;
    return this.add({ op: 'binary', inputs: [left.id, right.id], attrs, weights: {} }, part);
  }

  reshape(x: Dynamic, shape: Shape, part = ''): Dynamic {
    return this.add({ op: 'reshape', inputs: [x.id], attrs: { shape }, weights: {} }, part);
  }

  transpose(x: Dynamic, permutation: readonly number[], part = ''): Dynamic {
    return this.add({ op: 'transpose', inputs: [x.id], attrs: { permutation }, weights: {} }, part);
  }

  /** The network's result under the name of output `index`. */
  named(index: number, node: NewNode): Dynamic {
    return this.graph.add(this.names[index] ?? `${this.id}/${index}`, this.id, node);
  }
}

/**
 * A shape with one size left open (-1), filled so that `count` values fit.
 * @throws {InvalidInputError} if that is not possible.
 */
export function filledShape(shape: readonly number[], count: number): Shape {
  const open = shape.indexOf(-1);
  if (open < 0) return shape;
  const others = shape.reduce((product, size, axis) => (axis === open ? product : product * size), 1);
  if (others < 1 || count % others !== 0)
    throw new InvalidInputError(`${count} values cannot be reshaped to [${shape.join(', ')}]`);
  return shape.with(open, count / others);
}
