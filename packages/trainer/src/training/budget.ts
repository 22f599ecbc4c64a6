import {
  budgetConnections,
  costOf,
  elementCount,
  gateFactors,
  type Graph,
  inferShapes,
  InvalidInputError,
  type NodeOf,
  UnsupportedError,
} from '@dgconv/core';

/** What a budget limits: `b`: the paper's Σ C²/b connections; `zeta`: connections; the others count the whole network. */
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
  /** What one connection costs in the budget's unit. */
  readonly costPerConnection: number;
}

/** A limit on `fixedCost + Σ costPerConnection · connections`, in the unit of its kind. */
export interface Budget {
  readonly option: BudgetOption;
  readonly limit: number;
  readonly fixedCost: number;
  readonly layers: readonly GatedLayer[];
}

/** Raw gates of each gated layer, by node id. */
export type GateValues = ReadonlyMap<string, ArrayLike<number>>;

/** The convolutions of a graph that learn gates; `costPerConnection` is 1. */
export function gatedLayers(graph: Graph): GatedLayer[] {
  return gatedConvolutions(graph).map(({ id, attrs: { connectivity } }) => {
    const { channelsIn, channelsOut } = connectivity;
    return { id, channelsIn, channelsOut, factors: gateFactors(channelsOut, channelsIn), costPerConnection: 1 };
  });
}

/**
 * The budget of a graph with learned gates.
 * @throws {InvalidInputError} if no convolution learns gates, or no gates whatever stay within the limit.
 * @throws {UnsupportedError} for `ms`, which needs a table of measured latencies.
 */
export function budgetOf(graph: Graph, option: BudgetOption): Budget {
  const convolutions = gatedConvolutions(graph);
  if (convolutions.length === 0) {
    throw new InvalidInputError(`A budget needs convolutions that learn gates, and ${graph.metadata.name} has none.`);
  }
  const budget = unchecked(graph, convolutions, option);
  const least = costOfGates(budget, new Map(budget.layers.map(({ id, factors }) => [id, factors.map(() => -1)])));
  if (!(budget.limit >= least)) {
    throw new InvalidInputError(
      `The budget ${option.kind}=${option.value} allows ${budget.limit}, and even with all gates off ${graph.metadata.name} has ${least}.`,
    );
  }
  return budget;
}

function unchecked(graph: Graph, convolutions: readonly NodeOf<'conv2d'>[], option: BudgetOption): Budget {
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
      const dense = layers.reduce(
        (sum, { id, channelsIn, channelsOut }) => sum + channelsIn * channelsOut * perConnection.get(id)!,
        0,
      );
      return {
        option,
        limit: value,
        fixedCost: costOf(graph)[kind] - dense,
        layers: layers.map((layer) => ({ ...layer, costPerConnection: perConnection.get(layer.id)! })),
      };
    }
    case 'ms':
      throw new UnsupportedError(
        'A budget in ms needs a table of latencies measured on the target, which training does not read yet.',
      );
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

/** Connections of one layer: `C_out·C_in / Π split factors`. */
export function layerConnections({ channelsIn, channelsOut, factors }: GatedLayer, gates: ArrayLike<number>): number {
  return (
    (channelsIn * channelsOut) / factors.reduce((product, size, k) => (gates[k]! > 0 ? product : product * size), 1)
  );
}

/** ζ: connections of all gated layers. */
export function zetaOf(layers: readonly GatedLayer[], gates: GateValues): number {
  return layers.reduce((sum, layer) => sum + layerConnections(layer, gates.get(layer.id)!), 0);
}

/** What these gates cost, in the unit of the budget. */
export function costOfGates({ fixedCost, layers }: Budget, gates: GateValues): number {
  return layers.reduce(
    (sum, layer) => sum + layer.costPerConnection * layerConnections(layer, gates.get(layer.id)!),
    fixedCost,
  );
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
 * The paper's objective `L · (o/ζ)^a`, a = -0.02 while ζ > o, else 0, with `∂ζ/∂g_k = ζ_l·(p - 1)/(1 + g_k·(p - 1))` at hard gates.
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
      const layerCost = layer.costPerConnection * layerConnections(layer, values);
      const slopes = Float64Array.from(layer.factors, (size, k) => {
        const slope = (layerCost * (size - 1)) / (values[k]! > 0 ? size : 1);
        return ((-exponent * factor) / cost) * slope;
      });
      return [layer.id, slopes];
    }),
  );
  return { factor, gradients };
}
