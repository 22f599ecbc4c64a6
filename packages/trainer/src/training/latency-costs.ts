import {
  convolutionKey,
  convolutionShapes,
  describeConvolution,
  type Graph,
  InvalidInputError,
  type LatencyTable,
} from '@dgconv/core';

/** A table of measured times, and how messages call it. */
export interface Latencies {
  readonly table: LatencyTable;
  readonly name: string;
}

/**
 * What a network costs in milliseconds by a table that was measured for it: each gated layer by its number of groups, everything else fixed.
 * @param layers - the convolutions with gates, with the numbers of groups that these can make as keys of `costs`.
 * @throws {InvalidInputError} if the table does not know the network, or one of its convolutions in a form that it can take.
 */
export function latencyCosts<Layer extends { readonly id: string; readonly costs: ReadonlyMap<number, number> }>(
  graph: Graph,
  layers: readonly Layer[],
  { table, name }: Latencies,
): { fixedCost: number; layers: Layer[] } {
  const network = table.networks.find((candidate) => candidate.name === graph.metadata.name);
  if (network === undefined) {
    const known = table.networks.map((candidate) => `'${candidate.name}'`).join(', ') || 'none';
    throw new InvalidInputError(`${name}: it has times of ${known}, and the network is '${graph.metadata.name}'`);
  }
  const times = new Map(table.entries.map((entry) => [`${convolutionKey(entry)} ${entry.groups}`, entry.ms]));
  const gated = new Map(layers.map((layer) => [layer.id, layer]));
  const priced: Layer[] = [];
  let fixedCost = network.restMs;
  for (const { node, shape } of convolutionShapes(graph)) {
    const timeOf = (groups: number): number => {
      const ms = times.get(`${convolutionKey(shape)} ${groups}`);
      if (ms !== undefined) return ms;
      throw new InvalidInputError(
        `${name}: it lacks the time of '${node.id}' (${describeConvolution(shape)}) in ${groups} ${groups === 1 ? 'group' : 'groups'}`,
      );
    };
    const layer = gated.get(node.id);
    if (layer !== undefined) {
      priced.push({ ...layer, costs: new Map([...layer.costs.keys()].map((groups) => [groups, timeOf(groups)])) });
      continue;
    }
    const { connectivity } = node.attrs;
    if (connectivity.kind === 'dense' || connectivity.kind === 'equal') fixedCost += timeOf(connectivity.groups);
    else if (connectivity.kind === 'learned') fixedCost += timeOf(1);
  }
  return { fixedCost, layers: priced };
}
