import { interpret, type Model } from '@dgconv/core';
import { randomFeeds, randomModel } from '@dgconv/core/testing';
import test from 'ava';
import fc from 'fast-check';
import { foldAffineForward } from './fold-affine-forward.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { hardenGates } from './harden-gates.js';
import { recogniseGroups } from './recognise-groups.js';

test('affines before convolutions and dense layers go into them where that is exact, to the bit on integers', (t) => {
  let folded = 0;
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 2, max: 10 }), (seed, size) => {
      const options = {
        size,
        integers: true,
        ops: ['max-pool', 'affine', 'conv2d', 'conv2d', 'reduce', 'dense'] as const,
      };
      const explicit = [hardenGates, foldBatchNorm, recogniseGroups];
      const source = explicit.reduce((model, pass) => pass.run(model), randomModel(seed, options) as Model);
      const result = foldAffineForward.run(source);
      const feeds = randomFeeds(source.graph, seed, { integers: true });
      t.deepEqual(interpret(result, feeds), interpret(source, feeds));
      folded += source.graph.nodes.length - result.graph.nodes.length;
    }),
    // Few random affines stand before an unpadded convolution: a fixed seed makes sure that some do.
    { numRuns: 600, seed: 1 },
  );
  t.true(folded > 3, `${folded} affines were folded`);
});
