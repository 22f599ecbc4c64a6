import {
  elementCount,
  filledSlots,
  formatShape,
  type Graph,
  InvalidInputError,
  mapSource,
  type Model,
  type Node,
  readWeight,
  type Shape,
  slotShapes,
  type StoredTensor,
  storedNames,
  storedWeight,
} from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { type EvaluationMode, evaluateGraph } from './evaluate.js';
import { type SlotLayout, slotLayout, type SlotTensors } from './slot-layout.js';

/** What training does with a weight: `mask`, `statistics` and `constant` get no gradient. */
export type ParameterRole = 'kernel' | 'vector' | 'gates' | 'assignment' | 'mask' | 'statistics' | 'constant';

/** One stored tensor of a network in training. */
export interface Parameter {
  readonly name: string;
  readonly role: ParameterRole;
  /** As in the graph. */
  readonly shape: Shape;
  /** In the trainer's layout. */
  readonly variable: tfc.Variable;
  /** The graph's values → the variable's, and back. */
  readonly layout: SlotLayout;
}

/** A network whose weights are variables of the current engine. */
export class TrainableNetwork {
  /** The network with every weight a stored tensor. */
  readonly graph: Graph;
  readonly parameters: readonly Parameter[];
  readonly #slots = new Map<string, Readonly<Record<string, Parameter>>>();
  readonly #tensors = new Map<string, SlotTensors>();

  /** @throws {InvalidInputError} if a weight is missing or has another shape than its slot. */
  constructor({ graph, weights }: Model) {
    const taken = new Set(storedNames(graph));
    const parameters = new Map<string, Parameter>();
    const nodes = graph.nodes.map((node): Node => {
      const shapes = slotShapes(node);
      const slots: Record<string, Parameter> = {};
      for (const [slot, weight] of filledSlots(node)) {
        const shape = shapes[slot]!;
        const layout = slotLayout(node, slot, shape);
        let name = weight.kind === 'stored' ? weight.name : `${node.id}.${slot}`;
        const known = parameters.get(name);
        if (weight.kind === 'stored' && known?.layout.shape.join() === layout.shape.join()) {
          slots[slot] = known;
          continue;
        }
        if (known || weight.kind !== 'stored') while (taken.has(name)) name += `_${slot}`;
        taken.add(name);
        const values = readWeight(weight, weights);
        if (values.length !== elementCount(shape)) {
          throw new InvalidInputError(
            `The weight '${slot}' of node '${node.id}' has ${values.length} values, its shape ${formatShape(shape)} needs ${elementCount(shape)}.`,
          );
        }
        const role = roleOf(node, slot);
        const initial = tf.tensor(layout.pack(values), [...layout.shape]);
        const variable = tf.variable(initial, isTrained(role));
        initial.dispose();
        const parameter = { name, role, shape, variable, layout };
        parameters.set(name, parameter);
        slots[slot] = parameter;
      }
      this.#slots.set(node.id, slots);
      this.#tensors.set(
        node.id,
        Object.fromEntries(Object.entries(slots).map(([slot, { variable }]) => [slot, variable])),
      );
      const stored = Object.entries(slots).map(([slot, { name }]) => [slot, storedWeight(name)]);
      return { ...node, weights: Object.fromEntries(stored) as never };
    });
    this.graph = { ...graph, nodes };
    this.parameters = [...parameters.values()];
  }

  /** The variable of one slot of a node. @throws if there is none. */
  parameter(node: string, slot: string): Parameter {
    const parameter = this.#slots.get(node)?.[slot];
    if (!parameter) throw new Error(`internal: node ${node} has no slot ${slot}`);
    return parameter;
  }

  /** The network's outputs by name; call it inside `tf.tidy`. @see evaluateGraph */
  evaluate(feeds: Readonly<Record<string, tfc.Tensor>>, mode: EvaluationMode): Record<string, tfc.Tensor> {
    return evaluateGraph(this.graph, ({ id }) => this.#tensors.get(id)!, feeds, mode);
  }

  /** The network with the weights that it has now. */
  toModel(): Model {
    const tensors = new Map<string, StoredTensor>();
    for (const { name, shape, variable, layout } of this.parameters) {
      const values = layout.unpack(Float32Array.from(variable.dataSync()));
      tensors.set(name, { shape, values });
    }
    return { graph: this.graph, weights: mapSource(tensors) };
  }

  dispose(): void {
    for (const { variable } of this.parameters) variable.dispose();
  }
}

/** Whether a weight follows its gradient. */
export function isTrained(role: ParameterRole): boolean {
  return role !== 'mask' && role !== 'statistics' && role !== 'constant';
}

function roleOf({ op }: Node, slot: string): ParameterRole {
  if (op === 'constant') return 'constant';
  if (op === 'batch-norm' && (slot === 'mean' || slot === 'variance')) return 'statistics';
  switch (slot) {
    case 'kernel':
    case 'gates':
    case 'mask':
      return slot;
    case 'inputAssignment':
    case 'outputAssignment':
      return 'assignment';
    default:
      return 'vector';
  }
}
