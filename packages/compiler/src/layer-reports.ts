import {
  connectionsOf,
  type Connectivity,
  elementCount,
  filledSlots,
  type Graph,
  type Grouping,
  hardGrouping,
  inferShapes,
  type Model,
  type Node,
  type Shape,
  slotShapes,
} from '@dgconv/core';

/** One convolution or dense layer before and after compilation. */
export interface LayerReport {
  readonly name: string;
  readonly grouping: Grouping['kind'];
  readonly groups: number;
  readonly channelsIn: number;
  readonly channelsOut: number;
  /** Multiply-adds for batch 1 as imported: a masked or learned kernel counts as dense. */
  readonly macsBefore: number;
  /** Multiply-adds for batch 1 once the groups are explicit, before a target merges any. */
  readonly macsAfter: number;
}

/**
 * The layers of a network before and after its groups became explicit, in its order.
 * @param grouped - the same network after phase 3; a layer that is gone there costs nothing any more.
 */
export function layerReports(source: Graph, grouped: Graph): LayerReport[] {
  const before = layersOf(source);
  const after = layersOf(grouped);
  return [...before].map(([name, layer]) => {
    const result = after.get(name);
    return {
      name,
      grouping: result?.grouping ?? 'dense',
      groups: result?.groups ?? 1,
      channelsIn: result?.channelsIn ?? layer.channelsIn,
      channelsOut: result?.channelsOut ?? layer.channelsOut,
      macsBefore: layer.macs,
      macsAfter: result?.macs ?? 0,
    };
  });
}

interface Layer {
  readonly grouping: Grouping['kind'];
  readonly groups: number;
  readonly channelsIn: number;
  readonly channelsOut: number;
  readonly macs: number;
}

function layersOf(graph: Graph): ReadonlyMap<string, Layer> {
  const shapes = inferShapes(graph);
  return new Map(
    graph.nodes.flatMap((node): [string, Layer][] => {
      const layer = layerOf(node, shapes);
      return layer === undefined ? [] : [[node.id, layer]];
    }),
  );
}

function layerOf(node: Node, shapes: ReadonlyMap<string, Shape>): Layer | undefined {
  const pixels = (value: string): number => elementCount(shapes.get(value)!.slice(1, 3));
  if (node.op === 'conv2d') {
    const { connectivity, kernelSize } = node.attrs;
    const { channelsIn, channelsOut } = connectivity;
    const isExplicit = connectivity.kind !== 'masked' && connectivity.kind !== 'learned';
    return {
      grouping: isExplicit ? connectivity.kind : 'dense',
      groups: isExplicit ? connectivity.groups : 1,
      channelsIn,
      channelsOut,
      macs: pixels(node.id) * elementCount(kernelSize) * connections(connectivity),
    };
  }
  if (node.op === 'conv2d-transpose') {
    const { channelsIn, channelsOut, groups, kernelSize } = node.attrs;
    const macs = (pixels(node.inputs[0]!) * elementCount(kernelSize) * channelsIn * channelsOut) / groups;
    return { grouping: groups === 1 ? 'dense' : 'equal', groups, channelsIn, channelsOut, macs };
  }
  if (node.op === 'dense') {
    const { channelsIn, channelsOut } = node.attrs;
    return { grouping: 'dense', groups: 1, channelsIn, channelsOut, macs: channelsIn * channelsOut };
  }
  return undefined;
}

/** Channel pairs that a kernel stores. */
function connections(connectivity: Connectivity): number {
  return connectivity.kind === 'masked' || connectivity.kind === 'learned'
    ? connectivity.channelsOut * connectivity.channelsIn
    : connectionsOf(connectivity);
}

/** Slots that decide or describe, and are no parameters: running statistics, gates and their like. */
const notParameters = new Set(['mean', 'variance', 'gates', 'inputAssignment', 'outputAssignment', 'mask']);

/** Parameters of a network: weights and biases, and batch norm's γ and β; neither running statistics nor gates. */
export function parametersOf(graph: Graph): number {
  return graph.nodes.reduce((total, node) => {
    if (node.op === 'constant') return total;
    const shapes = slotShapes(node);
    const slots = filledSlots(node).filter(([slot]) => !notParameters.has(slot));
    return total + slots.reduce((sum, [slot]) => sum + elementCount(shapes[slot]!), 0);
  }, 0);
}

/** Connected channel pairs ζ, summed over the learned and masked convolutions of a network (Zhang et al. 2019, Eq. 9). */
export function zetaOf({ graph, weights }: Model): number {
  return graph.nodes.reduce((total, node) => {
    if (node.op !== 'conv2d') return total;
    const { kind } = node.attrs.connectivity;
    return kind === 'masked' || kind === 'learned' ? total + connectionsOf(hardGrouping(node, weights)) : total;
  }, 0);
}
