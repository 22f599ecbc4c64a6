import { type Budget, costOfGates, type GatedLayer, layerGroups } from './budget.js';

/** A gate that was switched to stay within the budget. */
export interface SwitchedGate {
  readonly layer: string;
  readonly gate: number;
}

/** Gates that stay on or off for good: any value of their sign. */
const offValue = -1;
const onValue = 1;

/**
 * Switches gates until the cost is at most `target`, always those that add the least loss for what they save: a single gate off,
 * as long as that saves anything in a layer. Where a measured table says that finer groups are slower, a gate may also go on, and
 * where no single gate saves, several of a layer switch together; so any target is reached that some gates reach.
 * @param gates - by node id, `[K]` each; switched gates become ±1 in place.
 * @param lossOf - the loss with the gates as they are now; called once before, and once for each gate that may switch.
 * @returns the gates that were switched, in order.
 */
export function projectGates(
  budget: Budget,
  gates: ReadonlyMap<string, Float32Array>,
  target: number,
  lossOf: () => number,
): SwitchedGate[] {
  if (costOfGates(budget, gates) <= target) return [];
  const before = lossOf();
  // Index by gate: the loss that it adds to be in the other state than at the start.
  const increases = new Map(
    budget.layers.map((layer) => {
      const values = gates.get(layer.id)!;
      const canGoOn = !isFasterInMoreGroups(layer);
      const increase = Float64Array.from(values, (value, gate) => {
        if (!(value > 0 || canGoOn)) return NaN;
        values[gate] = value > 0 ? offValue : onValue;
        const added = lossOf() - before;
        values[gate] = value;
        return added;
      });
      return [layer.id, increase];
    }),
  );
  const switched: SwitchedGate[] = [];
  while (costOfGates(budget, gates) > target) {
    const moves = budget.layers.flatMap((layer) => movesOf(layer, gates.get(layer.id)!));
    if (moves.length === 0) break;
    const scores = moves.map(({ layer, switches, saving }) => {
      const increase = increases.get(layer.id)!;
      return switches.reduce((sum, gate) => sum + increase[gate]!, 0) / saving;
    });
    const { layer, switches } = moves[scores.reduce((least, score, at) => (score < scores[least]! ? at : least), 0)]!;
    const values = gates.get(layer.id)!;
    for (const gate of switches) {
      values[gate] = values[gate]! > 0 ? offValue : onValue;
      // Back again, the gate takes away what it added.
      increases.get(layer.id)![gate]! *= -1;
      switched.push({ layer: layer.id, gate });
    }
  }
  return switched;
}

/** Whether every further split of a layer saves: then no gate ever has to go on. */
function isFasterInMoreGroups({ costs, factors }: GatedLayer): boolean {
  return [...costs].every(([groups, cost]) => factors.every((size) => !(costs.get(groups * size)! >= cost)));
}

interface Move {
  readonly layer: GatedLayer;
  readonly switches: readonly number[];
  /** In the budget's unit, above 0. */
  readonly saving: number;
}

/** The sets of gates whose switch saves something, all of the smallest size that does; none in a layer at its cheapest. */
function movesOf(layer: GatedLayer, values: Float32Array): Move[] {
  const groups = layerGroups(layer, values);
  const cost = layer.costs.get(groups)!;
  if (cost <= Math.min(...layer.costs.values())) return [];
  for (let size = 1; size <= values.length; size++) {
    const moves = combinations(values.length, size).flatMap((switches): Move[] => {
      const next = switches.reduce(
        (product, gate) => (values[gate]! > 0 ? product * layer.factors[gate]! : product / layer.factors[gate]!),
        groups,
      );
      const saving = cost - layer.costs.get(next)!;
      return saving > 0 ? [{ layer, switches, saving }] : [];
    });
    if (moves.length > 0) return moves;
  }
  return [];
}

/** All sets of `size` of the numbers below `count`. */
function combinations(count: number, size: number, from = 0): number[][] {
  if (size === 0) return [[]];
  const sets: number[][] = [];
  for (let first = from; first <= count - size; first++) {
    for (const rest of combinations(count, size - 1, first + 1)) sets.push([first, ...rest]);
  }
  return sets;
}
