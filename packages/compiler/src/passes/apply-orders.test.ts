import { type Graph, inferShapes, interpret, type Model } from '@dgconv/core';
import test from 'ava';
import fc from 'fast-check';
import { randomFeeds, randomNetwork, randomNumbers } from '../testing/random-network.js';
import { applyOrders } from './apply-orders.js';
import { hardenGates } from './harden-gates.js';
import { recogniseGroups } from './recognise-groups.js';

/** A random order for every value, or for a part of them. */
function randomOrders(graph: Graph, seed: number): Map<string, readonly number[]> {
  const random = randomNumbers(seed);
  const orders = new Map<string, readonly number[]>();
  for (const [value, shape] of inferShapes(graph)) {
    if (random() < 0.3) continue;
    const order = Array.from({ length: shape.at(-1) ?? 1 }, (_, channel) => ({ channel, key: random() }));
    orders.set(
      value,
      order.sort((a, b) => a.key - b.key).map(({ channel }) => channel),
    );
  }
  return orders;
}

function outputs(model: Model, seed: number): Record<string, number[]> {
  const feeds = randomFeeds(model.graph, seed, 'integers');
  return Object.fromEntries(Object.entries(interpret(model, feeds)).map(([name, values]) => [name, [...values]]));
}

test('random networks in random channel orders compute the same, to the bit on integers', (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 14 }), fc.boolean(), (seed, size, isExplicit) => {
      const source = hardenGates.run(randomNetwork({ seed, size, values: 'integers' }));
      const model = isExplicit ? recogniseGroups.run(source) : source;
      const ordered = { ...model, graph: applyOrders(model.graph, randomOrders(model.graph, seed + 1)) };
      t.deepEqual(outputs(ordered, seed), outputs(model, seed));
    }),
    { numRuns: 400 },
  );
});

test('orders that change nothing change nothing', (t) => {
  const { graph } = recogniseGroups.run(hardenGates.run(randomNetwork({ seed: 7, size: 12, values: 'integers' })));
  t.deepEqual(applyOrders(graph, new Map()), graph);
});
