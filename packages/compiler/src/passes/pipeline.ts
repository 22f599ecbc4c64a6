import {
  anyConnectivity,
  type Connectivity,
  type Graph,
  groupedConnectivity,
  hardConnectivity,
  type Model,
  verifyGraph,
} from '@dgconv/core';
import { assignChannelOrders } from './assign-channel-orders.js';
import { cancelTransposes } from './cancel-transposes.js';
import { chooseForms } from './choose-forms.js';
import { foldAffineForward } from './fold-affine-forward.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { fuseAffineBefore } from './fuse-affine-before.js';
import { foldConstants } from './fold-constants.js';
import { formCosts, type Target } from './form-costs.js';
import { fuse } from './fuse.js';
import type { AnyOrderOf } from './group-orders.js';
import { hardenGates } from './harden-gates.js';
import { lowerGroups } from './lower-groups.js';
import type { Pass } from './pass.js';
import { recogniseGroups } from './recognise-groups.js';
import { removeDeadChannels } from './remove-dead-channels.js';
import { removeIdentities } from './remove-identities.js';
import { separateShuffles } from './separate-shuffles.js';

/** File formats that the compiler writes. */
export type Format = 'edge' | 'onnx' | 'tflite';

/** Phases 1 to 3, the same for every target: after them, who is connected with whom is explicit and final. */
export const sharedPasses: readonly Pass[] = [
  // First, because nothing can be folded into weights whose shape training still decides.
  hardenGates,
  // Before any folding, so that a dropout between a convolution and its batch norm does not hide one from the other.
  removeIdentities,
  // Before whatever looks for constants next to a layer.
  foldConstants,
  // While masked kernels are dense: the scale moves with the connected pairs when they are compacted.
  foldBatchNorm,
  // Once batch norms are gone, which hold axes in their places; before recognition, which looks at channels.
  cancelTransposes,
  // Where masks become groups.
  recogniseGroups,
  // Once masks are gone; what is left before a convolution could not go into the layer before.
  foldAffineForward,
  // Once it is known who is connected with whom; `macsAfter` counts after it.
  removeDeadChannels,
];

/**
 * The edge runtime reads inputs that classes share through an index list, and writes outputs where they belong. It could read those of
 * disjoint groups so, too, but kernels that read runs of channels are faster, the moves included: by 8 % (IGCV1) to 30 % (MobileNetV2
 * with FLGC) on x64, 4 % to 17 % in WebAssembly [measured].
 */
const gatheredByEdge: AnyOrderOf = ({ attrs: { connectivity } }) => {
  const isScattered =
    connectivity.kind === 'shared-inputs' ||
    connectivity.kind === 'shared-outputs' ||
    connectivity.kind === 'unstructured';
  return { inputs: isScattered, outputs: isScattered };
};
const nowhere: AnyOrderOf = () => ({ inputs: false, outputs: false });

/** Phases 4 to 7 for one format, tuned for a target; `keepGroups` leaves out the choice of wider forms. */
export function targetPasses(format: Format, target: Target, keepGroups = false): readonly Pass[] {
  // The edge runtime chooses forms itself, when it loads a model.
  const isEqualGroupsOnly = format !== 'edge';
  // A `.edge` file is the same for every machine.
  const costs = formCosts(format, format === 'edge' ? 'generic' : target);
  const anyOrder = isEqualGroupsOnly ? nowhere : gatheredByEdge;
  return [
    // Before channel orders are chosen, because `pre` removes two values that would otherwise have to follow them.
    fuseAffineBefore,
    // Before channel orders are chosen, because a dense convolution asks for none.
    ...(isEqualGroupsOnly && !keepGroups ? [chooseForms(costs)] : []),
    // After the groups are final, and before fusion, which hides additions from it.
    assignChannelOrders(anyOrder, costs),
    // What the orders could not bring together is moved explicitly.
    separateShuffles(anyOrder),
    // Once the groups are runs of channels, so that slices and grouped convolutions can express them.
    ...(isEqualGroupsOnly ? [lowerGroups] : []),
    // Moves that cancel.
    removeIdentities,
    // Last, because every other pass is simpler on separate ops.
    fuse,
  ];
}

/** What must no longer exist after a pass, and after all that follow it. */
const postconditions: ReadonlyMap<Pass, readonly Connectivity['kind'][]> = new Map([
  [hardenGates, hardConnectivity],
  [recogniseGroups, groupedConnectivity],
  [lowerGroups, ['dense', 'equal']],
]);

/** Called after each pass, for progress and dumps. */
export type PassObserver = (step: { readonly name: string; readonly before: Graph; readonly after: Graph }) => void;

/**
 * Runs passes one after the other; the structural verifier follows each.
 * @throws {Error} `internal:`, naming the pass after which the graph is broken.
 */
export function runPasses(model: Model, passes: readonly Pass[], observe: PassObserver = () => undefined): Model {
  let connectivity: readonly Connectivity['kind'][] = anyConnectivity;
  return passes.reduce((current, pass) => {
    const next = pass.run(current);
    connectivity = postconditions.get(pass) ?? connectivity;
    verifyGraph(next.graph, { after: pass.name, connectivity });
    observe({ name: pass.name, before: current.graph, after: next.graph });
    return next;
  }, model);
}
