import { type Graph, interpret, literalWeight, mapSource, type Node } from '@dgconv/core';
import { randomFeeds, randomModel, structuralParts } from '@dgconv/core/testing';
import test from 'ava';
import fc from 'fast-check';
import { foldConstants } from './fold-constants.js';

const constant = (id: string, values: number[]): Node => ({
  id,
  op: 'constant',
  inputs: [],
  attrs: { shape: [1, values.length] },
  weights: { value: literalWeight([1, values.length], values) },
  origin: [],
});
const binary = (id: string, name: 'add' | 'multiply', inputs: string[]): Node => ({
  id,
  op: 'binary',
  inputs,
  attrs: { function: name, activation: { function: 'identity' } },
  weights: {},
  origin: [id],
});

test('what depends on constants only is computed, and the constants that nobody reads go', (t) => {
  const graph: Graph = {
    formatVersion: '1.0',
    inputs: [{ name: 'x', shape: [1, 2] }],
    nodes: [
      constant('a', [1, 2]),
      constant('b', [3, 4]),
      binary('sum', 'add', ['a', 'b']),
      binary('square', 'multiply', ['sum', 'sum']),
      binary('y', 'multiply', ['x', 'square']),
    ],
    outputs: [{ name: 'y', value: 'y' }],
    metadata: { name: 'test' },
  };
  const folded = foldConstants.run({ graph, weights: mapSource(new Map()) });
  t.deepEqual(
    folded.graph.nodes.map(({ id, op }) => `${op} ${id}`),
    ['constant square', 'binary y'],
  );
  t.deepEqual([...folded.weights.read('square')], [16, 36]);
  t.deepEqual([...interpret(folded, { x: Float32Array.of(1, 2) })['y']!], [16, 72]);
  t.is(foldConstants.run(folded), folded);
});

test('random networks compute the same with their constants folded, to the bit on integers', (t) => {
  let count = 0;
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 20 }), (seed, size) => {
      const ops = [...structuralParts, 'constant', 'constant', 'binary', 'binary'] as const;
      const model = randomModel(seed, { size, integers: true, ops });
      const feeds = randomFeeds(model.graph, seed, { integers: true });
      const folded = foldConstants.run(model);
      t.deepEqual(interpret(folded, feeds), interpret(model, feeds));
      count += Number(folded !== model);
    }),
    { numRuns: 150, seed: 1 },
  );
  t.true(count > 3, `${count} networks had something to fold`);
});
