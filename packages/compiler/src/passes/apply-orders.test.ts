import { type Graph, inferShapes, interpret, type Model } from '@dgconv/core';
import test from 'ava';
import fc from 'fast-check';
import { Random, randomFeeds, randomModel, structuralParts } from '@dgconv/core/testing';
import { applyOrders } from './apply-orders.js';
import { hardenGates } from './harden-gates.js';
import { recogniseGroups } from './recognise-groups.js';

/** A random order for every value, or for a part of them. */
function randomOrders(graph: Graph, seed: number): Map<string, readonly number[]> {
  const random = new Random(seed);
  const orders = new Map<string, readonly number[]>();
  for (const [value, shape] of inferShapes(graph)) {
    if (random.chance(0.7)) orders.set(value, random.permutation(shape.at(-1) ?? 1));
  }
  return orders;
}

function outputs(model: Model, seed: number): Record<string, number[]> {
  const feeds = randomFeeds(model.graph, seed, { integers: true });
  return Object.fromEntries(Object.entries(interpret(model, feeds)).map(([name, values]) => [name, [...values]]));
}

test('random networks in random channel orders compute the same, to the bit on integers', (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 14 }), fc.boolean(), (seed, size, isExplicit) => {
      const source = hardenGates.run(randomModel(seed, { size, integers: true }));
      const model = isExplicit ? recogniseGroups.run(source) : source;
      const ordered = { ...model, graph: applyOrders(model.graph, randomOrders(model.graph, seed + 1)) };
      t.deepEqual(outputs(ordered, seed), outputs(model, seed));
    }),
    { numRuns: 400, seed: 1 },
  );
});

test('random networks with splits, concats, padded channels, shuffles and transposes likewise', (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 20 }), (seed, size) => {
      const model = hardenGates.run(randomModel(seed, { size, integers: true, ops: structuralParts }));
      const ordered = { ...model, graph: applyOrders(model.graph, randomOrders(model.graph, seed + 1)) };
      t.deepEqual(outputs(ordered, seed), outputs(model, seed));
    }),
    { numRuns: 400, seed: 1 },
  );
});

test('orders that change nothing change nothing', (t) => {
  const { graph } = recogniseGroups.run(hardenGates.run(randomModel(7, { size: 12, integers: true })));
  t.deepEqual(applyOrders(graph, new Map()), graph);
});
