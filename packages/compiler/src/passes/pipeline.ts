import type { Graph, Model } from '@dgconv/core';
import { assignChannelOrders } from './assign-channel-orders.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { fuseAffineBefore } from './fuse-affine-before.js';
import { fuse, type Fusions } from './fuse.js';
import { hardenGates } from './harden-gates.js';
import type { Pass } from './pass.js';
import { recogniseGroups } from './recognise-groups.js';
import { removeIdentities } from './remove-identities.js';
import { separateShuffles } from './separate-shuffles.js';

/** File formats that the compiler writes. */
export type Format = 'edge' | 'onnx' | 'tflite';

/** What each target computes in one go: the engine everything, the others what their operators express. */
const fusions: Readonly<Record<Format, Fusions>> = {
  edge: { residual: true, activation: () => true },
  onnx: { residual: false, activation: () => false },
  tflite: { residual: false, activation: ({ function: name }) => name === 'relu' || name === 'relu6' },
};

/** Phases 1 to 3, the same for every target: after them, who is connected with whom is explicit and final. */
export const sharedPasses: readonly Pass[] = [
  // First, because nothing can be folded into weights whose shape training still decides.
  hardenGates,
  // Before any folding, so that a dropout between a convolution and its batch norm does not hide one from the other.
  removeIdentities,
  // While masked kernels are dense: the scale moves with the connected pairs when they are compacted.
  foldBatchNorm,
  // Where masks become groups; `macsAfter` counts after it.
  recogniseGroups,
];

/** Phases 4 to 7 for one target. */
export function targetPasses(format: Format): readonly Pass[] {
  return [
    // Before channel orders are chosen, because `pre` removes two values that would otherwise have to follow them.
    ...(format === 'edge' ? [fuseAffineBefore] : []),
    // After the groups are final, and before fusion, which hides additions from it.
    assignChannelOrders,
    // What the orders could not bring together is moved explicitly.
    separateShuffles,
    // Moves that cancel.
    removeIdentities,
    // Last, because every other pass is simpler on separate ops.
    fuse(fusions[format]),
  ];
}

/** Called after each pass, for progress and dumps. */
export type PassObserver = (step: { readonly name: string; readonly before: Graph; readonly after: Graph }) => void;

/**
 * Runs passes one after the other; the structural verifier follows each.
 * @throws {Error} `internal:`, naming the pass after which the graph is broken.
 */
export function runPasses(model: Model, passes: readonly Pass[], observe: PassObserver = () => undefined): Model {
  return passes.reduce((current, pass) => {
    const next = pass.run(current);
    observe({ name: pass.name, before: current.graph, after: next.graph });
    return next;
  }, model);
}
