import test from 'ava';
import fc from 'fast-check';
import { DgconvError, InvalidInputError } from '../errors.js';
import { Mask } from '../grouping/mask.js';
import { recogniseGrouping } from '../grouping/recognise.js';
import { singleNodeModel } from '../testing/single-node.js';
import { randomModel } from '../testing/random-model.js';
import { decodeGraph, encodeGraph } from './graph-json.js';
import type { Graph } from './graph.js';
import { literalWeight, storedWeight } from './weight-constructors.js';
import type { Weight } from './weights.js';
import { squareWindow } from './window.js';

test('graphs of every connectivity survive JSON exactly', (t) => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const { graph } = randomModel(seed);
      const back = decodeGraph(encodeGraph(graph));
      t.is(encodeGraph(back), encodeGraph(graph));
      back.nodes.forEach((node, index) => {
        const original = graph.nodes[index]!;
        if (node.op !== 'conv2d' || original.op !== 'conv2d') return;
        const [a, b] = [node.attrs.connectivity, original.attrs.connectivity];
        if ('mask' in a && 'mask' in b) t.true(a.mask.equals(b.mask));
        else t.deepEqual(a, b);
      });
    }),
    { seed: 1 },
  );
});

test('every weight expression survives JSON, with numbers that JSON cannot say', (t) => {
  const grouping = recogniseGrouping(Mask.fromSupports(2, [[1], [0]]));
  const w = storedWeight('w');
  const by = literalWeight([2], [-0, Infinity]);
  const expressions: Weight[] = [
    { kind: 'fill', shape: [2], value: NaN },
    { kind: 'reshape', of: w, shape: [2] },
    { kind: 'transpose', of: w, permutation: [1, 0] },
    { kind: 'take', of: w, axis: 0, indices: [1, 0] },
    { kind: 'scale', of: w, axis: 0, by },
    { kind: 'compact', of: w, grouping },
    { kind: 'expand', of: w, grouping },
    { kind: 'reorder', of: w, grouping, outputOrder: [1, 0], inputOrder: [0, 1] },
    { kind: 'scale-outputs', of: w, grouping, by },
    { kind: 'add', left: w, right: w },
    { kind: 'subtract', left: w, right: by },
    { kind: 'multiply', left: by, right: w },
    { kind: 'inverse-root', of: w, epsilon: 1e-5 },
    { kind: 'contract-inputs', of: w, by },
  ];
  for (const weight of expressions) {
    const slope: Weight = { kind: 'add', left: weight, right: storedWeight('other') };
    const { graph } = singleNodeModel([[1, 2]], { op: 'prelu', attrs: { channels: 2 }, weights: { slope } });
    t.deepEqual(decodeGraph(encodeGraph(graph)), graph);
  }
});

test('a broken graph is refused with the place', (t) => {
  const { graph } = singleNodeModel([[1, 2, 2, 3]], {
    op: 'max-pool',
    attrs: {
      ...squareWindow(1),
    },
  });
  const refused = (edit: (json: string) => string, message: string | RegExp): void => {
    t.throws(() => decodeGraph(edit(encodeGraph(graph))), { instanceOf: InvalidInputError, message });
  };
  refused(
    (json) => json.replace('"top":0', '"top":"0"'),
    'graph.nodes[0].attrs.padding.top: an integer is needed, not "0"',
  );
  refused((json) => json.replace('"max-pool"', '"maxpool"'), /^graph\.nodes\[0\]: op "maxpool" is none of conv2d, /);
});

const literals: fc.Arbitrary<unknown> = fc.constantFrom(
  null,
  -1,
  0,
  1.5,
  1e300,
  '',
  'x',
  '__proto__',
  [],
  {},
  true,
  [1, 2],
  1 << 20,
);

test('no mutation of a graph does anything but decode or be refused', (t) => {
  const mutate = (value: unknown, path: number[], replacement: unknown): unknown => {
    if (path.length === 0 || typeof value !== 'object' || value === null) return replacement;
    const keys = Object.keys(value);
    if (keys.length === 0) return replacement;
    const key = keys[path[0]! % keys.length]!;
    const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
    (copy as Record<string, unknown>)[key] = mutate(
      (value as Record<string, unknown>)[key],
      path.slice(1),
      replacement,
    );
    return copy;
  };
  fc.assert(
    fc.property(fc.nat(50), fc.array(fc.nat(), { minLength: 1, maxLength: 9 }), literals, (seed, path, replacement) => {
      const json: unknown = JSON.parse(encodeGraph(randomModel(seed).graph));
      try {
        const graph: Graph = decodeGraph(JSON.stringify(mutate(json, path, replacement)));
        encodeGraph(graph);
      } catch (error) {
        if (!(error instanceof DgconvError)) throw error;
      }
    }),
    { numRuns: 1500, seed: 1 },
  );
  t.pass();
});

test('a weight nested without end is refused before the stack ends', (t) => {
  const { graph } = singleNodeModel([[1, 2]], {
    op: 'prelu',
    attrs: { channels: 2 },
    weights: { slope: storedWeight('w') },
  });
  const depth = 100_000;
  const inner = '{"kind":"stored","name":"w"}';
  const nested = '{"kind":"inverse-root","epsilon":1,"of":'.repeat(depth) + inner + '}'.repeat(depth);
  t.throws(() => decodeGraph(encodeGraph(graph).replace(inner, nested)), {
    instanceOf: InvalidInputError,
    message: /nested more than 200 deep$/,
  });
});
