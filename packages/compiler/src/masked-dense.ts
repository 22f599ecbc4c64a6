import type { Model } from '@dgconv/core';
import { asDense } from './passes/group-costs.js';
import { hardenGates } from './passes/harden-gates.js';
import { graphPass } from './passes/pass.js';
import { runPasses } from './passes/pipeline.js';
import { recogniseGroups } from './passes/recognise-groups.js';
import { removeIdentities } from './passes/remove-identities.js';

/**
 * The network as training left it, in a form that every engine runs: dense kernels, with zeros where gates, assignments or masks cut
 * channels apart. Nothing is folded, reordered or fused, so that it can stand for the source where interpreting takes too long.
 * @throws {InvalidInputError} if the model has gates or assignments that are not numbers.
 */
export function maskedDense(model: Model): Model {
  return runPasses(model, [hardenGates, removeIdentities, recogniseGroups, expandGroups]);
}

const expandGroups = graphPass('expand-groups', (graph) => ({
  ...graph,
  nodes: graph.nodes.map((node) => (node.op === 'conv2d' ? asDense(node) : node)),
}));
