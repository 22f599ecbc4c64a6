import { connectionsOf } from '../grouping/supports.js';
import type { Connectivity } from './connectivity.js';
import type { Graph, Node, NodeOf } from './graph.js';
import { hardGrouping } from './hard-grouping.js';
import type { OpKind } from './ops.js';
import { elementCount, type Shape } from './shape.js';
import { filledSlots, slotShapes } from './slots.js';
import { mapSource } from './sources.js';
import { inferShapes } from './types.js';
import type { WeightSource } from './weights.js';

/** What one convolution or dense layer costs, for batch 1. */
export interface LayerCost {
  readonly name: string;
  readonly op: 'conv2d' | 'conv2d-transpose' | 'dense';
  /** Kind of its connectivity; a learned one by its rule. */
  readonly grouping: Exclude<Connectivity['kind'], 'learned'> | 'dgconv' | 'flgc' | 'condense';
  readonly groups: number;
  readonly channelsIn: number;
  readonly channelsOut: number;
  /** Multiply-adds of the layer as it is executed: a masked or learned kernel is dense. */
  readonly macs: number;
  readonly params: number;
  /** Connected channel pairs; null where they are learned and no weights were given. */
  readonly connections: number | null;
  /** Whether training or a mask decides the connections: such layers count in ζ. */
  readonly isLearnedOrMasked: boolean;
}

/** What a network costs, for batch 1. */
export interface NetworkCost {
  readonly layers: readonly LayerCost[];
  /** Multiply-adds of convolutions and dense layers. */
  readonly macs: number;
  /** Kernels, biases, batch norm's γ and β, affines; not running statistics, not gates. */
  readonly params: number;
  /** Float32 bytes of everything that inference reads: parameters, running statistics, constants. */
  readonly weightBytes: number;
  /** ζ: ones in the masks of learned and masked convolutions; null where that needs weights that were not given. */
  readonly connections: number | null;
}

/** What a layer's rule sees: shapes of its first input and its value, for batch 1. */
interface LayerContext {
  readonly input: Shape;
  readonly output: Shape;
  readonly source: WeightSource | undefined;
}

type Layer = Omit<LayerCost, 'name' | 'params'>;

/** Which slots are parameters (the rest are statistics, constants and what decides connections), and for layers what they cost. */
interface CostRule<K extends OpKind> {
  readonly parameters: readonly string[];
  readonly layer?: (node: NodeOf<K>, context: LayerContext) => Layer;
}

const free = { parameters: [] };

const rules: { readonly [K in OpKind]: CostRule<K> } = {
  conv2d: {
    parameters: ['kernel', 'bias', 'preScale', 'preShift'],
    layer(node, { output, source }) {
      const { connectivity, kernelSize } = node.attrs;
      const { kind, channelsIn, channelsOut } = connectivity;
      const isLearnedOrMasked = kind === 'masked' || kind === 'learned';
      const grouping = kind === 'learned' && source === undefined ? null : hardGrouping(node, source ?? noWeights);
      const connections = grouping === null ? null : connectionsOf(grouping);
      const executed = isLearnedOrMasked || connections === null ? channelsIn * channelsOut : connections;
      return {
        op: node.op,
        grouping: kind === 'learned' ? connectivity.rule : kind,
        groups: grouping?.groups ?? 1,
        channelsIn,
        channelsOut,
        macs: executed * elementCount(kernelSize) * elementCount(output.slice(0, 3)),
        connections,
        isLearnedOrMasked,
      };
    },
  },
  'conv2d-transpose': {
    parameters: ['kernel', 'bias'],
    layer({ op, attrs: { channelsIn, channelsOut, groups, kernelSize } }, { input }) {
      const connections = (channelsIn * channelsOut) / groups;
      const macs = connections * elementCount(kernelSize) * elementCount(input.slice(0, 3));
      const grouping = groups === 1 ? 'dense' : 'equal';
      return { op, grouping, groups, channelsIn, channelsOut, macs, connections, isLearnedOrMasked: false };
    },
  },
  dense: {
    parameters: ['kernel', 'bias'],
    layer({ op, attrs: { channelsIn, channelsOut } }, { output }) {
      const connections = channelsIn * channelsOut;
      const macs = connections * output[0]!;
      return { op, grouping: 'dense', groups: 1, channelsIn, channelsOut, macs, connections, isLearnedOrMasked: false };
    },
  },
  'batch-norm': { parameters: ['gamma', 'beta'] },
  affine: { parameters: ['scale', 'shift'] },
  prelu: { parameters: ['slope'] },
  matmul: free,
  activation: free,
  binary: free,
  constant: free,
  softmax: free,
  'max-pool': free,
  'average-pool': free,
  reduce: free,
  concat: free,
  slice: free,
  pad: free,
  resize: free,
  transpose: free,
  reshape: free,
  take: free,
  identity: free,
  dropout: free,
};

const noWeights = mapSource(new Map());

const decidingSlots: ReadonlySet<string> = new Set(['gates', 'inputAssignment', 'outputAssignment', 'mask']);

/** Values in the filled slots of a node that `counts` accepts. */
function slotValues(node: Node, counts: (slot: string) => boolean): number {
  const shapes = slotShapes(node);
  return filledSlots(node).reduce((sum, [slot]) => (counts(slot) ? sum + elementCount(shapes[slot]!) : sum), 0);
}

function parameterCount(node: Node): number {
  return slotValues(node, (slot) => rules[node.op].parameters.includes(slot));
}

function layerCost(node: Node, context: LayerContext): LayerCost | null {
  const layer = rules[node.op].layer as ((node: Node, context: LayerContext) => Layer) | undefined;
  return layer === undefined ? null : { name: node.id, ...layer(node, context), params: parameterCount(node) };
}

/**
 * Multiply-adds, parameters, bytes and connections of a network as it stands, for batch 1.
 * @param source - its weights, for what training decides; without them the connections of learned layers are unknown.
 */
export function costOf(graph: Graph, source?: WeightSource): NetworkCost {
  const shapes = inferShapes(graph);
  const layers = graph.nodes.flatMap((node) => {
    const input = shapes.get(node.inputs[0] ?? '') ?? [];
    return layerCost(node, { input, output: shapes.get(node.id)!, source }) ?? [];
  });
  const sum = (count: (node: Node) => number): number => graph.nodes.reduce((total, node) => total + count(node), 0);
  return {
    layers,
    macs: layers.reduce((total, { macs }) => total + macs, 0),
    params: sum(parameterCount),
    weightBytes: 4 * sum((node) => slotValues(node, (slot) => !decidingSlots.has(slot))),
    connections: layers
      .filter(({ isLearnedOrMasked }) => isLearnedOrMasked)
      .reduce<number | null>(
        (total, { connections }) => (total === null || connections === null ? null : total + connections),
        0,
      ),
  };
}
