import { type Budget, costOfGates, type GatedLayer, layerConnections } from './budget.js';

/** A gate that was switched off to stay within the budget. */
export interface SwitchedGate {
  readonly layer: string;
  readonly gate: number;
}

/**
 * Switches gates off until the cost is at most `target`: always the one that adds the least loss for what it saves.
 * @param gates - by node id, `[K]` each; switched gates become `offValue` in place.
 * @param lossOf - the loss with the gates as they are now; called once for each gate that is on, and once before.
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
  const candidates = budget.layers.flatMap((layer) => {
    const values = gates.get(layer.id)!;
    return layer.factors.flatMap((_, gate) => {
      const value = values[gate]!;
      if (!(value > 0)) return [];
      values[gate] = offValue;
      const increase = lossOf() - before;
      values[gate] = value;
      return [{ layer, gate, increase }];
    });
  });
  const switched: SwitchedGate[] = [];
  while (candidates.length > 0 && costOfGates(budget, gates) > target) {
    const scores = candidates.map(({ layer, gate, increase }) => increase / saving(layer, gates.get(layer.id)!, gate));
    const best = scores.reduce((least, score, at) => (score < scores[least]! ? at : least), 0);
    const [{ layer, gate }] = candidates.splice(best, 1) as [(typeof candidates)[number]];
    gates.get(layer.id)![gate] = offValue;
    switched.push({ layer: layer.id, gate });
  }
  return switched;
}

/** A gate that is off for good: any value that is not positive. */
const offValue = -1;

function saving(layer: GatedLayer, values: Float32Array, gate: number): number {
  const size = layer.factors[gate]!;
  return layer.costPerConnection * layerConnections(layer, values) * (1 - 1 / size);
}
