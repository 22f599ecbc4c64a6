import { gateFactors } from './gates.js';
import type { Grouping } from './grouping.js';
import { groupingFromGates } from './kronecker.js';

/**
 * Hard gates whose Kronecker mask is this grouping, or null if there are none: the inverse of {@link groupingFromGates}.
 * A gate is off where input channels that differ in its digit alone lie in different groups.
 * @returns `[K]`
 */
export function gatesOfGrouping(grouping: Grouping): (0 | 1)[] | null {
  const { channelsOut, channelsIn } = grouping;
  const factors = gateFactors(channelsOut, channelsIn);
  if (grouping.kind === 'dense') return factors.map(() => 1);
  if (grouping.kind !== 'equal') return null;
  const groupOf = new Uint32Array(channelsIn);
  grouping.inputOrder.forEach((channel, position) => {
    groupOf[channel] = Math.floor((position * grouping.groups) / channelsIn);
  });
  let distance = channelsIn;
  const gates = factors.map((factor): 0 | 1 => {
    distance /= factor;
    return groupOf[0] === groupOf[distance] ? 1 : 0;
  });
  const reproduced = groupingFromGates(gates, channelsOut, channelsIn);
  const isReproduced =
    reproduced.kind === 'equal' &&
    reproduced.groups === grouping.groups &&
    reproduced.inputOrder.every((channel, position) => channel === grouping.inputOrder[position]) &&
    reproduced.outputOrder.every((channel, position) => channel === grouping.outputOrder[position]);
  return isReproduced ? gates : null;
}
