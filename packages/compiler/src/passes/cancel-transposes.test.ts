import { type Graph, inferShapes, interpret, isBatchable, type Model, verifyGraph } from '@dgconv/core';
import { Random, randomFeeds, randomModel, structuralParts } from '@dgconv/core/testing';
import test from 'ava';
import fc from 'fast-check';
import { applyAxisOrders } from './apply-axis-orders.js';
import { reshapedOrder } from './axis-blocks.js';
import { cancelTransposes } from './cancel-transposes.js';

function randomAxisOrders(graph: Graph, seed: number): Map<string, readonly number[]> {
  const random = new Random(seed);
  const orders = new Map<string, readonly number[]>();
  for (const [value, { length }] of inferShapes(graph)) {
    if (length > 2 && random.chance(0.7))
      orders.set(value, [0, ...random.permutation(length - 1).map((axis) => axis + 1)]);
  }
  return orders;
}

function outputs(model: Model, seed: number): Record<string, number[]> {
  const feeds = randomFeeds(model.graph, seed, { integers: true });
  return Object.fromEntries(Object.entries(interpret(model, feeds)).map(([name, values]) => [name, [...values]]));
}

const movingParts = [...structuralParts, 'transpose', 'transpose', 'reshape', 'reshape', 'constant'] as const;

test('random networks with their axes in random orders compute the same, to the bit on integers', (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 25 }), (seed, size) => {
      const model = randomModel(seed, { size, integers: true, ops: movingParts });
      const ordered = { ...model, graph: applyAxisOrders(model.graph, randomAxisOrders(model.graph, seed + 1)) };
      verifyGraph(ordered.graph);
      t.deepEqual(outputs(ordered, seed), outputs(model, seed));
    }),
    { numRuns: 400, seed: 1 },
  );
});

test('random networks compute the same with fewer transposes, to the bit on integers', (t) => {
  let [before, after] = [0, 0];
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 25 }), (seed, size) => {
      const model = randomModel(seed, { size, integers: true, ops: movingParts });
      const cancelled = cancelTransposes.run(model);
      t.deepEqual(outputs(cancelled, seed), outputs(model, seed));
      before += count(model.graph);
      after += count(cancelled.graph);
    }),
    { numRuns: 200, seed: 1 },
  );
  t.true(after < 0.8 * before, `${before} → ${after}`);
});

test('a network that takes batches still does without its transposes', (t) => {
  let compared = 0;
  for (let seed = 0; seed < 60; seed += 1) {
    const model = randomModel(seed, { size: 5 + (seed % 15), integers: true, ops: movingParts });
    if (!isBatchable(model.graph)) continue;
    const cancelled = cancelTransposes.run(model);
    t.true(isBatchable(cancelled.graph));
    const feeds = randomFeeds(model.graph, seed, { integers: true, batch: 2 });
    t.deepEqual(interpret(cancelled, feeds, { batch: 2 }), interpret(model, feeds, { batch: 2 }));
    compared += 1;
  }
  t.true(compared > 30);
});

function count(graph: Graph): number {
  return graph.nodes.filter(({ op }) => op === 'transpose').length;
}

test('an order passes a reshape where what it joins lies side by side', (t) => {
  t.deepEqual(reshapedOrder([1, 82, 12, 12], [1, 82, 144], [0, 2, 3, 1]), [0, 2, 1]);
  t.deepEqual(reshapedOrder([1, 64, 189], [1, 4, 16, 189], [0, 2, 1]), [0, 3, 1, 2]);
  t.deepEqual(reshapedOrder([1, 120, 1, 12], [1, 120, 12], [0, 2, 3, 1]), [0, 2, 1]);
  t.is(reshapedOrder([1, 4, 6], [1, 24], [0, 2, 1]), undefined);
  t.is(reshapedOrder([1, 12, 120], [12, 120], [0, 2, 1]), undefined);
});
