import type { Graph, Grouping } from '@dgconv/core';
import { foldableConstants } from './constant-channels.js';
import { keptChannels, type LiveChannels, liveChannels } from './live-channels.js';
import type { Pass } from './pass.js';
import { restrictChannels, restrictedGrouping } from './restrict-channels.js';

/**
 * Removes channels through the whole graph: inputs that no output is connected to, whatever computes them, and outputs that are
 * connected to nothing, whose constant moves into the bias of the layers that read it. A constant stays where a zero-padded layer
 * reads it, which sees 0 instead at the border, and every channel stays where removing some would break up equal groups.
 *
 * before: `a = conv2d x {dense 8 → 8}` `b = conv2d a {unequal, inputs 6 and 7 unused}` · after: `a = conv2d x {dense 8 → 6}` `b = conv2d a {equal}`
 */
export const removeDeadChannels: Pass = {
  name: 'remove-dead-channels',
  run: (model) => {
    const { graph } = model;
    const foldable = new Map(foldableConstants(model));
    const pinned = new Set<string>();
    for (;;) {
      const live = liveChannels(graph, foldable, pinned);
      const broken = brokenGroups(graph, live, pinned);
      if (broken.length === 0) return { ...model, graph: restrictChannels(graph, live, foldable) };
      for (const node of broken) pinned.add(node);
    }
  },
};

/** Convolutions that would lose the structure that makes them fast. */
function brokenGroups(graph: Graph, live: LiveChannels, pinned: ReadonlySet<string>): string[] {
  return graph.nodes.flatMap((node) => {
    if (node.op !== 'conv2d' || pinned.has(node.id)) return [];
    const { connectivity } = node.attrs;
    if (connectivity.kind === 'masked' || connectivity.kind === 'learned') return [];
    const [outputs, inputs] = [keptChannels(live, node.id), keptChannels(live, node.inputs[0]!)];
    return staysFast(connectivity, restrictedGrouping(connectivity, outputs, inputs)) ? [] : [node.id];
  });
}

function staysFast(before: Grouping, after: Grouping): boolean {
  const isRegular = before.kind === 'equal' || before.kind === 'shared-inputs' || before.kind === 'shared-outputs';
  return !isRegular || after.kind === before.kind || after.kind === 'equal' || after.kind === 'dense';
}
