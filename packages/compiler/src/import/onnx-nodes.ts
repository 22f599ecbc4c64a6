import { elementCount, InvalidInputError, UnsupportedError } from '@dgconv/core';
import { decodeNestedGraph, functionKey, type OnnxAttribute, type OnnxFunction, type OnnxNode } from './onnx-file.js';
import { foldConstants } from './onnx-fold.js';
import type { Constant, OnnxGraphBuilder, Operand } from './onnx-graph.js';
import { OnnxNodeContext } from './onnx-node.js';
import { operandsOf, interpretedConstants } from './onnx-interpreted.js';
import { onnxOps } from './onnx-ops/index.js';

/** Deeper than any exporter nests. */
const deepest = 16;

/** Values by name; a nested graph sees those around it, and hides its own. */
export class Scope {
  readonly #values = new Map<string, Operand>();
  readonly #leftOut = new Map<string, string>();

  constructor(readonly outer?: Scope) {}

  get(name: string): Operand | undefined {
    return this.#values.get(name) ?? this.outer?.get(name);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  set(name: string, value: Operand): void {
    this.#values.set(name, value);
  }

  /** A value that a node has but that is not computed, which matters only to who reads it. */
  leaveOut(name: string, reason: string): void {
    this.#leftOut.set(name, reason);
  }

  /** Why a value that is not there was left out, if it was. */
  whyLeftOut(name: string): string | undefined {
    return this.#leftOut.get(name) ?? this.outer?.whyLeftOut(name);
  }
}

/** Imports nodes, those of branches and functions in place of what names them. */
export class OnnxNodeImporter {
  #imported = 0;

  constructor(
    readonly builder: OnnxGraphBuilder,
    readonly functions: ReadonlyMap<string, OnnxFunction>,
    /** Nodes that may be imported in all. */
    readonly limit: number,
  ) {}

  /** Imports nodes in their order into a scope. @throws {DgconvError} naming node, operator and reason. */
  importNodes(nodes: readonly OnnxNode[], values: Scope, opset: number, depth = 0): void {
    for (const node of nodes) this.#importNode(node, values, opset, depth);
  }

  #importNode(node: OnnxNode, values: Scope, opset: number, depth: number): void {
    const where = `node '${node.name !== '' ? node.name : (node.outputs[0] ?? '')}' (${node.operator})`;
    if (++this.#imported > this.limit || depth > deepest) {
      throw new UnsupportedError(
        `${where}: functions and branches make more than ${this.limit} nodes, or nest too deep`,
      );
    }
    if (node.outputs.every((output) => output === '')) return;
    const inputs = node.inputs.map((name) => {
      if (name === '') return null;
      const value = values.get(name);
      const leftOut = value === undefined ? values.whyLeftOut(name) : undefined;
      if (leftOut !== undefined) throw new UnsupportedError(leftOut);
      if (value === undefined) throw new InvalidInputError(`${where} reads '${name}', which no earlier node computes`);
      return value;
    });
    const context = new OnnxNodeContext(node, inputs, opset, this.builder);
    const results = this.#results(context, where, values, depth);
    node.outputs.forEach((output, index) => {
      const result = results[index];
      if (output === '') return;
      if (values.has(output)) throw new InvalidInputError(`${where} computes '${output}', which is there already`);
      if (result === undefined) values.leaveOut(output, `${where}: its output '${output}' is not supported`);
      else values.set(output, result);
    });
  }

  #results(context: OnnxNodeContext, where: string, values: Scope, depth: number): readonly Operand[] {
    const { node, opset } = context;
    const called = this.functions.get(functionKey(node.domain, node.operator));
    if (called !== undefined) return this.#call(called, context, depth);
    if (node.domain !== '')
      throw new UnsupportedError(`${where}: operators of the domain '${node.domain}' are not supported`);
    if (node.operator === 'Constant') return [constantNode(context)];
    if (node.operator === 'If') return this.#branch(context, values, opset, depth);
    try {
      const folded = foldConstants(context);
      if (folded !== null) return folded;
      const op = onnxOps.get(node.operator);
      if (op === undefined) throw new UnsupportedError(`${where}: the operator is not supported`);
      return interpretedConstants(context, op) ?? operandsOf(op(context));
    } catch (error) {
      if (error instanceof InvalidInputError && !error.message.includes(context.id)) {
        throw new InvalidInputError(`${where}: ${error.message}`, { cause: error });
      }
      throw error;
    }
  }

  /** The branch that is taken: exporters ask for shapes, which are known. */
  #branch(context: OnnxNodeContext, outer: Scope, opset: number, depth: number): readonly Operand[] {
    const condition = context.input(0);
    if (condition.kind !== 'constant' || elementCount(condition.shape) !== 1) {
      return context.refuse('its condition depends on the image; only conditions on shapes can be decided');
    }
    const bytes = context.attribute(condition.read()[0] === 0 ? 'else_branch' : 'then_branch')?.graph;
    if (bytes === null || bytes === undefined) return context.refuse('the branch that is taken is missing');
    const graph = decodeNestedGraph(bytes);
    const values = new Scope(outer);
    for (const [name, tensor] of graph.initializers) values.set(name, this.builder.tensor(name, tensor));
    this.importNodes(graph.nodes, values, opset, depth + 1);
    return outputsOf(
      graph.outputs.map(({ name }) => name),
      values,
      context,
    );
  }

  /** The nodes of a function, for the inputs and attributes of the node that calls it. */
  #call(called: OnnxFunction, context: OnnxNodeContext, depth: number): readonly Operand[] {
    const values = new Scope();
    called.inputs.forEach((name, index) => {
      const input = context.optional(index);
      if (input !== null) values.set(name, input);
    });
    const given = new Map([...called.defaults, ...context.node.attributes]);
    const nodes = called.nodes.map((node) => ({
      ...node,
      name: `${context.id}.${node.name !== '' ? node.name : (node.outputs[0] ?? '')}`,
      // An input that the call leaves out is left out in the function too.
      inputs: node.inputs.map((name) => (called.inputs.includes(name) && !values.has(name) ? '' : name)),
      attributes: new Map([...node.attributes].flatMap(([name, attribute]) => resolved(name, attribute, given))),
    }));
    this.importNodes(nodes, values, called.opsets.get('') ?? context.opset, depth + 1);
    return outputsOf(called.outputs, values, context);
  }
}

function resolved(
  name: string,
  attribute: OnnxAttribute,
  given: ReadonlyMap<string, OnnxAttribute>,
): [string, OnnxAttribute][] {
  if (attribute.reference === null) return [[name, attribute]];
  const value = given.get(attribute.reference);
  return value === undefined ? [] : [[name, { ...value, name }]];
}

function outputsOf(names: readonly string[], values: Scope, context: OnnxNodeContext): readonly Operand[] {
  return names.map((name) => values.get(name) ?? context.refuse(`its output '${name}' is computed by no node`));
}

/** A Constant node: one of several attributes holds its value. */
function constantNode(context: OnnxNodeContext): Constant {
  const { builder, id } = context;
  const tensor = context.attribute('value')?.tensor;
  if (tensor !== null && tensor !== undefined) return builder.tensor(id, tensor);
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
