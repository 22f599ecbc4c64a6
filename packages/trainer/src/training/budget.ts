import {
  budgetConnections,
  costOf,
  elementCount,
  gateFactors,
  type Graph,
  inferShapes,
  InvalidInputError,
  type NodeOf,
  UsageError,
} from '@dgconv/core';
import { type Latencies, latencyCosts } from './latency-costs.js';

/** What a budget limits: `b`: the paper's Σ C²/b connections; `zeta`: connections; the others are of the whole network, `ms` by a table of measured times. */
export type BudgetKind = 'b' | 'zeta' | 'macs' | 'params' | 'ms';

export interface BudgetOption {
  readonly kind: BudgetKind;
  readonly value: number;
}

/** A convolution whose connections training decides by gates. */
export interface GatedLayer {
  /** Id of the node. */
  readonly id: string;
  readonly channelsIn: number;
  readonly channelsOut: number;
  /** Sizes of the Kronecker factors, one a gate. */
  readonly factors: readonly number[];
  /** What the layer costs in the budget's unit, by the number of groups that its gates can make. */
  readonly costs: ReadonlyMap<number, number>;
}

/** A limit on `fixedCost + Σ costs(groups)`, in the unit of its kind. */
export interface Budget {
  readonly option: BudgetOption;
  readonly limit: number;
  readonly fixedCost: number;
  readonly layers: readonly GatedLayer[];
}

/** Raw gates of each gated layer, by node id. */
export type GateValues = ReadonlyMap<string, ArrayLike<number>>;

/** The convolutions of a graph that learn gates; each costs its connections. */
export function gatedLayers(graph: Graph): GatedLayer[] {
  return gatedConvolutions(graph).map(({ id, attrs: { connectivity } }) => {
    const { channelsIn, channelsOut } = connectivity;
    const factors = gateFactors(channelsOut, channelsIn);
    const costs = new Map(reachableGroups(factors).map((groups) => [groups, (channelsIn * channelsOut) / groups]));
    return { id, channelsIn, channelsOut, factors, costs };
  });
}

/** The numbers of groups that gates of these factors can make, ascending. */
function reachableGroups(factors: readonly number[]): number[] {
  const products = factors.reduce(
    (reached, size) => new Set([...reached, ...[...reached].map((groups) => groups * size)]),
    new Set([1]),
  );
  return [...products].sort((a, b) => a - b);
}

/**
 * The budget of a graph with learned gates.
 * @param latencies - for a budget in `ms`: the table, and how messages call it.
 * @throws {InvalidInputError} if no convolution learns gates, no gates whatever stay within the limit, or the table is of
 * another network.
 * @throws {UsageError} for `ms` without a table.
 */
export function budgetOf(graph: Graph, option: BudgetOption, latencies: Latencies | null = null): Budget {
  const convolutions = gatedConvolutions(graph);
  if (convolutions.length === 0) {
    throw new InvalidInputError(`A budget needs convolutions that learn gates, and ${graph.metadata.name} has none.`);
  }
  const budget = unchecked(graph, convolutions, option, latencies);
  const least = budget.layers.reduce((sum, { costs }) => sum + Math.min(...costs.values()), budget.fixedCost);
  if (!(budget.limit >= least)) {
    const { name } = graph.metadata;
    const reach =
      option.kind === 'ms' ? `${name} takes ${least} at its fastest` : `even with all gates off ${name} has ${least}`;
    throw new InvalidInputError(`The budget ${option.kind}=${option.value} allows ${budget.limit}, and ${reach}.`);
  }
  return budget;
}

function unchecked(
  graph: Graph,
  convolutions: readonly NodeOf<'conv2d'>[],
  option: BudgetOption,
  latencies: Latencies | null,
): Budget {
  const { kind, value } = option;
  const layers = gatedLayers(graph);
  switch (kind) {
    case 'b':
      return {
        option,
        // Σ C²/b; with different counts on both sides a dense layer has C_in·C_out.
        limit: layers.reduce(
          (sum, { channelsIn, channelsOut }) => sum + geometricBudget(channelsIn, channelsOut, value),
          0,
        ),
        fixedCost: 0,
        layers,
      };
    case 'zeta':
      return { option, limit: value, fixedCost: 0, layers };
    case 'macs':
    case 'params': {
      const shapes = inferShapes(graph);
      const perConnection = new Map(
        convolutions.map(({ id, attrs: { kernelSize } }) => {
          const pixels = kind === 'macs' ? elementCount(shapes.get(id)!.slice(1, 3)) : 1;
          return [id, kernelSize[0] * kernelSize[1] * pixels];
        }),
      );
      const priced = layers.map((layer) => {
        const costs = new Map(
          [...layer.costs].map(([groups, connections]) => [groups, connections * perConnection.get(layer.id)!]),
        );
        return { ...layer, costs };
      });
      const dense = priced.reduce((sum, { costs }) => sum + costs.get(1)!, 0);
      return { option, limit: value, fixedCost: costOf(graph)[kind] - dense, layers: priced };
    }
    case 'ms': {
      if (latencies === null) {
        throw new UsageError('a budget in ms needs a table of latencies that were measured on the target');
      }
      return { option, limit: value, ...latencyCosts(graph, layers, latencies) };
    }
  }
}

function geometricBudget(channelsIn: number, channelsOut: number, b: number): number {
  return channelsIn === channelsOut ? budgetConnections([channelsIn], b) : (channelsIn * channelsOut) / b;
}

function gatedConvolutions(graph: Graph): NodeOf<'conv2d'>[] {
  return graph.nodes.filter(
    (node): node is NodeOf<'conv2d'> =>
      node.op === 'conv2d' && node.attrs.connectivity.kind === 'learned' && node.attrs.connectivity.rule === 'dgconv',
  );
}

/** Groups that these gates make of a layer: the product of the split factors. */
export function layerGroups({ factors }: GatedLayer, gates: ArrayLike<number>): number {
  return factors.reduce((product, size, k) => (gates[k]! > 0 ? product : product * size), 1);
}

/** ζ: connections of all gated layers. */
export function zetaOf(layers: readonly GatedLayer[], gates: GateValues): number {
  return layers.reduce(
    (sum, layer) => sum + (layer.channelsIn * layer.channelsOut) / layerGroups(layer, gates.get(layer.id)!),
    0,
  );
}

/** What these gates cost, in the unit of the budget. */
export function costOfGates({ fixedCost, layers }: Budget, gates: GateValues): number {
  return layers.reduce((sum, layer) => sum + layer.costs.get(layerGroups(layer, gates.get(layer.id)!))!, fixedCost);
}

/** The exponent of the paper's objective while the cost is above the limit; 0 below. */
const exponent = -0.02;

/** What the budget does to the loss L and to its gradients. */
export interface BudgetPressure {
  /** `(o/ζ)^a`: factor of the loss. */
  readonly factor: number;
  /** `∂factor/∂g`, by node id, `[K]` each: times L it is added to the gates' gradient. */
  readonly gradients: ReadonlyMap<string, Float64Array>;
}

/**
 * The paper's objective `L · (o/ζ)^a`, a = -0.02 while ζ > o, else 0. Between 0 and 1 the cost of a layer is taken as linear in
 * each gate, so that `∂cost/∂g_k` is what merging its factor adds; for connections that is Eq. 9's `ζ_l·(p - 1)/(1 + g_k·(p - 1))`.
 * @returns null within the budget.
 * @see Zhang et al. 2019, arXiv:1908.05867, Eq. 9-11
 */
export function budgetPressure(budget: Budget, gates: GateValues): BudgetPressure | null {
  const cost = costOfGates(budget, gates);
  if (cost <= budget.limit) return null;
  const factor = (budget.limit / cost) ** exponent;
  const gradients = new Map(
    budget.layers.map((layer) => {
      const values = gates.get(layer.id)!;
      const groups = layerGroups(layer, values);
      const slopes = Float64Array.from(layer.factors, (size, k) => {
        const merged = values[k]! > 0 ? groups : groups / size;
        return ((-exponent * factor) / cost) * (layer.costs.get(merged)! - layer.costs.get(merged * size)!);
      });
      return [layer.id, slopes];
    }),
  );
  return { factor, gradients };
}
