import test from 'ava';
import { Mask } from '../grouping/mask.js';
import { recogniseGrouping } from '../grouping/recognise.js';
import { randomModel } from '../testing/random-model.js';
import { type NodeFields, singleNodeModel } from '../testing/single-node.js';
import type { Connectivity } from './connectivity.js';
import { formatShape, type Shape } from './shape.js';
import { printConnectivity, printGraph, printWeight } from './print.js';
import { inferShapes } from './types.js';
import { fillWeight, literalWeight, storedWeight } from './weight-constructors.js';
import type { Weight } from './weights.js';
import { squareWindow } from './window.js';

test('every node of a random graph is printed with its shape and inputs, the same each time', (t) => {
  for (let seed = 0; seed < 40; seed++) {
    const { graph } = randomModel(seed);
    const text = printGraph(graph);
    const shapes = inferShapes(graph);
    for (const { id, op, inputs } of graph.nodes)
      t.true(text.includes(`\n${id}: ${formatShape(shapes.get(id)!)} = ${op}(${inputs.join(', ')})`));
    t.is(printGraph(randomModel(seed).graph), text);
  }
});

test('attributes are words', (t) => {
  const line = (shapes: readonly Shape[], fields: NodeFields): string =>
    printGraph(singleNodeModel(shapes, fields).graph)
      .split('\n')
      .find((text) => text.startsWith('node: '))!
      .slice(6);
  const image: Shape = [1, 2, 2, 1];
  t.is(
    line([image], { op: 'max-pool', attrs: squareWindow(2, 2) }),
    '[1, 1, 1, 1] = max-pool(a) {2×2 window; stride 2×2}',
  );
  t.is(
    line([image], { op: 'average-pool', attrs: { ...squareWindow(2), dilations: [1, 1], countPadding: true } }),
    '[1, 1, 1, 1] = average-pool(a) {2×2 window; padding counts}',
  );
  t.is(line([[1, 3]], { op: 'softmax', attrs: { axis: 1 } }), '[1, 3] = softmax(a) {axis 1}');
  t.is(
    line([[1, 3]], { op: 'pad', attrs: { before: [0, 1], after: [0, 0], mode: 'constant', value: 7 } }),
    '[1, 4] = pad(a) {before [0 1]; after [0 0]; value 7}',
  );
  t.is(
    line([image], {
      op: 'resize',
      attrs: { size: [4, 4], mode: 'linear', coordinates: 'half-pixel', rounding: 'floor', scales: null },
    }),
    '[1, 4, 4, 1] = resize(a) {4×4; linear; half-pixel; floor}',
  );
  t.is(
    line([[1, 3]], { op: 'activation', attrs: { activation: { function: 'clip', alpha: -1, beta: 2 } } }),
    '[1, 3] = activation(a) {clip(-1, 2)}',
  );
  t.is(
    line(
      [
        [1, 2, 3],
        [1, 3, 4],
      ],
      { op: 'matmul', attrs: {} },
    ),
    '[1, 2, 4] = matmul(a, b)',
  );
  t.is(line([[1, 2]], { op: 'transpose', attrs: { permutation: [1, 0] } }), '[2, 1] = transpose(a) {[1 0]}');
});

test('connectivity of every kind has its words', (t) => {
  const counts = { channelsOut: 4, channelsIn: 3 };
  const of = (supports: readonly number[][]): Connectivity => recogniseGrouping(Mask.fromSupports(3, supports));
  t.is(printConnectivity(of([[0], [0], [1, 2], [1, 2]])), '3 → 4, unequal, 2 groups');
  t.is(
    printConnectivity(
      of([
        [0, 1],
        [0, 1],
        [1, 2],
        [1, 2],
      ]),
    ),
    '3 → 4, shared-inputs, 2 groups',
  );
  t.is(printConnectivity(of([[0], [0, 1], [1, 2], [1, 2]])), '3 → 4, unstructured, 7 ones');
  t.is(printConnectivity({ kind: 'masked', ...counts, mask: Mask.ones(4, 3) }), '3 → 4, masked, 12 ones');
  t.is(printConnectivity({ kind: 'learned', rule: 'dgconv', ...counts }), '3 → 4, learned by dgconv');
});

test('weights are nested calls, long lists are cut', (t) => {
  const w = storedWeight('w');
  const grouping = recogniseGrouping(Mask.fromSupports(2, [[1], [0]]));
  const words: [Weight, string][] = [
    [
      { kind: 'take', of: w, axis: 0, indices: Array.from({ length: 10 }, (_, k) => k) },
      'take(w, 0, [0 1 2 3 4 5 6 7 … 10])',
    ],
    [
      { kind: 'reshape', of: { kind: 'transpose', of: w, permutation: [1, 0] }, shape: [4] },
      'reshape(transpose(w, [1 0]), [4])',
    ],
    [{ kind: 'scale', of: w, axis: 0, by: literalWeight([2], [1, 2]) }, 'scale(w, 0, literal([2], [1 2]))'],
    [{ kind: 'expand', of: { kind: 'compact', of: w, grouping }, grouping }, 'expand(compact(w, equal 2), equal 2)'],
    [{ kind: 'reorder', of: w, grouping, outputOrder: [1, 0], inputOrder: [0, 1] }, 'reorder(w, out [1 0], in [0 1])'],
    [{ kind: 'scale-outputs', of: w, grouping, by: fillWeight([2], 3) }, 'scale-outputs(w, fill([2], 3))'],
    [
      { kind: 'subtract', left: w, right: { kind: 'inverse-root', of: w, epsilon: 1 } },
      'subtract(w, inverse-root(w, 1))',
    ],
    [{ kind: 'contract-inputs', of: w, by: w }, 'contract-inputs(w, w)'],
  ];
  for (const [weight, text] of words) t.is(printWeight(weight), text);
});
