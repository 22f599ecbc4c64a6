import {
  canonicalGrouping,
  blocksOf,
  compactWeight,
  type DenseGrouping,
  elementCount,
  type EqualGrouping,
  expandWeight,
  type GroupBlock,
  type Grouping,
  inferShapes,
  type NodeOf,
  type Shape,
} from '@dgconv/core';
import { type FormCosts } from './form-costs.js';
import { blocksTime, denseTime, groupedTime, worthwhile } from './group-costs.js';
import { graphPass, type Pass } from './pass.js';
import { rewriteNodes } from './rewrite.js';

/**
 * For formats that know equal groups only: a convolution becomes dense (zeros where nothing is connected), keeps its groups, or has
 * small groups merged, whichever is predicted to be fastest. Before channel orders are chosen, because a dense convolution asks for
 * none. Unequal groups and shared inputs that stay are lowered afterwards (`lowerGroups`).
 *
 * before: `conv2d x {equal G=64, 2 channels each}` · after: `conv2d x {equal G=8, 16 channels each} kernel=compact(expand(w))`
 */
export function chooseForms(costs: FormCosts): Pass {
  return graphPass('choose-forms', (graph) => {
    const shapes = inferShapes(graph);
    return rewriteNodes(graph, (node, { emit }) => {
      if (node.op !== 'conv2d') return emit(node);
      const { connectivity } = node.attrs;
      if (connectivity.kind === 'masked' || connectivity.kind === 'learned' || connectivity.kind === 'dense')
        return emit(node);
      const form = fastestForm(node, connectivity, shapes, costs);
      if (form === connectivity) return emit(node);
      return emit({
        ...node,
        attrs: { ...node.attrs, connectivity: form },
        weights: { ...node.weights, kernel: compactWeight(expandWeight(node.weights.kernel, connectivity), form) },
      });
    });
  });
}

function fastestForm(
  node: NodeOf<'conv2d'>,
  grouping: Grouping,
  shapes: ReadonlyMap<string, Shape>,
  costs: FormCosts,
): Grouping {
  const { channelsOut, channelsIn } = grouping;
  const pixels = elementCount(shapes.get(node.id)!.slice(1, 3));
  const inputPixels = elementCount(shapes.get(node.inputs[0]!)!.slice(1, 3));
  const extent = { pixels, positions: elementCount(node.attrs.kernelSize) };
  const timeOf = (blocks: readonly GroupBlock[]): number => blocksTime(blocks, extent, costs);
  const dense: DenseGrouping = { kind: 'dense', channelsOut, channelsIn, groups: 1 };
  const timeDense = denseTime(grouping, extent, costs);
  switch (grouping.kind) {
    case 'dense':
      return grouping;
    case 'equal': {
      const kept = timeOf(blocksOf(grouping)!);
      const forms = mergedForms(grouping).map((form) => ({ form, time: timeOf(blocksOf(form)!) }));
      const best = [...forms, { form: dense, time: timeDense }].reduce((a, b) => (b.time < a.time ? b : a));
      return best.time < worthwhile * kept ? best.form : grouping;
    }
    case 'unequal':
    case 'shared-inputs':
      // A dense convolution is one operation, and asks for no order.
      return groupedTime(grouping, extent, inputPixels, costs) < worthwhile * timeDense ? grouping : dense;
    case 'shared-outputs':
    case 'unstructured':
      return dense;
  }
}

/** The groupings that arise when runs of m groups become one group with zeros, for every m that divides their number. */
function mergedForms(grouping: EqualGrouping): Grouping[] {
  const { groups, channelsIn, channelsOut } = grouping;
  // A depthwise convolution is an op of its own in every runtime.
  if (groups === channelsIn && groups === channelsOut) return [];
  const forms: Grouping[] = [];
  for (let merged = 2; merged < groups; merged += 1) {
    if (groups % merged === 0) forms.push(canonicalGrouping({ ...grouping, groups: groups / merged }));
  }
  return forms;
}
