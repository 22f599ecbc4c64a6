import type { Node } from '../graph/graph.js';
import type { Activation, Window } from '../graph/ops.js';
import { elementCount, type Shape } from '../graph/shape.js';
import { slotsOf } from '../graph/slots.js';
import type { StoredTensor } from '../graph/sources.js';
import { nodeShape } from '../graph/types.js';
import { storedWeight } from '../graph/weight-constructors.js';
import { type ConnectivityChoice, connectivityChoices } from './random-connectivity.js';
import { Random } from './random.js';

/** What values and connectivities a random network has. */
export interface RandomNetworkOptions {
  /**
   * Small integers as weights, powers of two in batch norm, bounded values and only ops that keep integers: every float32 engine
   * must agree to the bit. Default false: real weights.
   */
  readonly integers?: boolean;
  readonly connectivities?: readonly ConnectivityChoice[];
}

/** What of a node its maker chooses; weights follow from it. */
export type Parts = Pick<Node, 'op' | 'attrs'> & {
  readonly inputs: readonly string[];
  readonly slots?: readonly string[];
};

/** The random network while it is made: nodes with fresh stored weights, and choices of values, activations and windows. */
export class RandomNetworkBuilder {
  readonly nodes: Node[] = [];
  readonly shapes = new Map<string, Shape>();
  readonly tensors = new Map<string, StoredTensor>();
  readonly random: Random;
  readonly integers: boolean;
  readonly connectivities: readonly ConnectivityChoice[];

  constructor(seed: number, options: RandomNetworkOptions) {
    this.random = new Random(seed);
    this.integers = options.integers ?? false;
    this.connectivities = options.connectivities ?? connectivityChoices;
  }

  /** Adds the node with fresh stored weights, unless its shapes are impossible or too large. */
  add(parts: Parts): boolean {
    const id = `n${this.nodes.length}`;
    const draft = { id, op: parts.op, inputs: parts.inputs, attrs: parts.attrs, weights: {}, origin: [id] } as Node;
    const inputs = parts.inputs.map((value) => this.shapes.get(value)!);
    const shape = nodeShape(draft, { inputs, single: inputs, batch: 1 });
    if (elementCount(shape) > 2000) return false;
    const wanted = slotsOf(draft).filter(({ isOptional }) => !isOptional || this.random.chance(0.7));
    for (const slot of wanted)
      this.tensors.set(`${id}.${slot.name}`, { shape: slot.shape, values: this.#values(draft, slot.name, slot.shape) });
    const weights = Object.fromEntries(wanted.map(({ name }) => [name, storedWeight(`${id}.${name}`)]));
    this.nodes.push({ ...draft, weights } as Node);
    this.shapes.set(id, shape);
    return true;
  }

  #values(node: Node, slot: string, shape: Shape): Float32Array {
    const { random } = this;
    const fill = (value: () => number): Float32Array => Float32Array.from({ length: elementCount(shape) }, value);
    const real = (low: number, high: number) => fill(() => low + random.uniform() * (high - low));
    if (slot === 'gates' || slot === 'inputAssignment' || slot === 'outputAssignment') return real(-1, 1);
    if (slot === 'mask') return condenseMask(random, node, shape);
    if (slot === 'variance') return this.integers ? fill(() => random.pick([1, 4])) : real(0.3, 2);
    // With variances 1 and 4, a gamma of ±2 scales by ±2 or ±1.
    if (slot === 'gamma') return this.integers ? fill(() => random.pick([2, -2])) : real(0.5, 1.5);
    if (slot === 'scale' || slot === 'preScale' || slot === 'slope')
      return this.integers ? fill(() => random.pick([1, -1, 2])) : real(-1, 1.5);
    if (this.integers) return fill(() => random.integer(-2, 2));
    const fanIn = slot === 'kernel' ? Math.max(1, elementCount(shape) / shape[0]!) : 1;
    return real(-1.5 / Math.sqrt(fanIn), 1.5 / Math.sqrt(fanIn));
  }

  value(accepts: (shape: Shape) => boolean): string | null {
    const names = [...this.shapes].filter(([, shape]) => accepts(shape)).map(([name]) => name);
    // Recent values are likelier, so that networks get deep.
    return names.length === 0 ? null : this.random.chance(0.6) ? names.at(-1)! : this.random.pick(names);
  }

  image(): string | null {
    return this.value((shape) => shape.length === 4);
  }

  activation(): Activation {
    const bounded: Activation[] = [{ function: 'relu6' }, { function: 'clip', alpha: -4, beta: 4 }];
    if (this.integers) return this.random.pick(bounded);
    return this.random.pick<Activation>([
      ...bounded,
      { function: 'identity' },
      { function: 'relu' },
      { function: 'relu' },
      { function: 'sigmoid' },
      { function: 'hard-swish' },
      { function: 'leaky-relu', alpha: 0.1 },
    ]);
  }

  window(shape: Shape, mayDilate = true): Window {
    const { random } = this;
    const kernelSize = [0, 1].map(() => random.integer(1, 3)) as [number, number];
    const dilations = [1, 1].map(() => (mayDilate && random.chance(0.2) ? 2 : 1)) as [number, number];
    const extent = kernelSize.map((size, axis) => (size - 1) * dilations[axis]! + 1) as [number, number];
    // Less padding than the window covers, and enough for the window to fit.
    const sides = (axis: 0 | 1): [number, number] => {
      const needed = Math.max(0, extent[axis] - shape[axis + 1]!);
      const before = random.integer(0, extent[axis] - 1);
      return [before, Math.max(needed - before, random.integer(0, extent[axis] - 1))];
    };
    const [top, bottom] = sides(0);
    const [left, right] = sides(1);
    const strides = random.chance(0.3) ? ([2, random.integer(1, 2)] as const) : ([1, 1] as const);
    return { kernelSize, dilations, strides, padding: { top, bottom, left, right } };
  }
}

/** CondenseNet's mask: filter o is in group o mod G, each group keeps `C_in / condenseFactor` inputs. */
function condenseMask(random: Random, node: Node, shape: Shape): Float32Array {
  if (node.op !== 'conv2d' || node.attrs.connectivity.kind !== 'learned' || node.attrs.connectivity.rule !== 'condense')
    throw new Error(`internal: node '${node.id}' has no condense mask`);
  const { channelsIn, groups, condenseFactor } = node.attrs.connectivity;
  const kept = Array.from({ length: groups }, () => new Set(random.subset(channelsIn, channelsIn / condenseFactor)));
  return Float32Array.from({ length: elementCount(shape) }, (_, index) =>
    kept[Math.floor(index / channelsIn) % groups]!.has(index % channelsIn) ? 1 : 0,
  );
}
