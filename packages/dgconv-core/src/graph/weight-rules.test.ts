import test from 'ava';
import fc from 'fast-check';
import { InvalidInputError } from '../errors.js';
import { Mask } from '../grouping/mask.js';
import { recogniseGrouping, reorderGrouping } from '../grouping/recognise.js';
import { maskOf, supportsOf } from '../grouping/supports.js';
import { compactShape } from './compact.js';
import { elementCount } from './shape.js';
import { mapSource, renamedSource, layeredSource, storedNamesOf } from './sources.js';
import {
  addWeights,
  compactWeight,
  contractInputsWeight,
  expandWeight,
  fillWeight,
  inverseRootWeight,
  literalWeight,
  multiplyWeights,
  reorderWeight,
  reshapeWeight,
  scaleOutputsWeight,
  scaleWeight,
  storedWeight,
  subtractWeights,
  takeWeight,
  transposeWeight,
} from './weight-constructors.js';
import { readWeight, weightShape } from './weight-rules.js';
import type { Weight, WeightSource } from './weights.js';

const counting = (shape: readonly number[]) => ({
  shape,
  values: Float32Array.from({ length: elementCount(shape) }, (_, index) => index + 1),
});
const sourceOf = (shapes: Record<string, readonly number[]>): WeightSource =>
  mapSource(new Map(Object.entries(shapes).map(([name, shape]) => [name, counting(shape)])));
const read = (weight: Weight, source: WeightSource): number[] => [...readWeight(weight, source)];

const maskAndOrders = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 3 }))
  .chain(([rows, cols, classes]) =>
    fc.record({
      mask: fc
        .tuple(
          fc.array(fc.subarray([...Array(cols).keys()]), { minLength: classes, maxLength: classes }),
          fc.array(fc.nat(classes - 1), { minLength: rows, maxLength: rows }),
        )
        .map(([supports, picks]) =>
          Mask.fromSupports(
            cols,
            picks.map((pick) => supports[pick]!),
          ),
        ),
      outputOrder: fc.shuffledSubarray([...Array(rows).keys()], { minLength: rows }),
      inputOrder: fc.shuffledSubarray([...Array(cols).keys()], { minLength: cols }),
    }),
  );

test('a compact kernel holds the connected pairs, outputs then inputs ascending, and expand puts them back', (t) => {
  fc.assert(
    fc.property(maskAndOrders, ({ mask }) => {
      const source = sourceOf({ kernel: [mask.rows, mask.cols, 2, 1] });
      const grouping = recogniseGrouping(mask);
      const compact = compactWeight(storedWeight('kernel'), grouping);
      const expected: number[] = [];
      const masked: number[] = [];
      for (let o = 0; o < mask.rows; o++)
        for (let i = 0; i < mask.cols; i++) {
          const first = (o * mask.cols + i) * 2 + 1;
          if (mask.get(o, i)) expected.push(first, first + 1);
          masked.push(mask.get(o, i) * first, mask.get(o, i) * (first + 1));
        }
      t.deepEqual(read(compact, source), expected);
      t.deepEqual(weightShape(compact, source), compactShape(grouping, [2, 1]));
      const expanded: Weight = { kind: 'expand', of: compact, grouping };
      t.deepEqual(read(expanded, source), masked);
      t.deepEqual(weightShape(expanded, source), [mask.rows, mask.cols, 2, 1]);
    }),
    { seed: 1 },
  );
});

test('reordering a compact kernel is reordering the dense one, for every grouping', (t) => {
  fc.assert(
    fc.property(maskAndOrders, ({ mask, outputOrder, inputOrder }) => {
      const source = sourceOf({ kernel: [mask.rows, mask.cols, 1, 2] });
      const grouping = recogniseGrouping(mask);
      const compact = compactWeight(storedWeight('kernel'), grouping);
      const reordered = reorderWeight(compact, grouping, outputOrder, inputOrder);
      const dense = takeWeight(takeWeight(storedWeight('kernel'), 0, outputOrder, mask.rows), 1, inputOrder, mask.cols);
      const target = reorderGrouping(grouping, outputOrder, inputOrder);
      t.true(maskOf(target).equals(mask.reorder(outputOrder, inputOrder)));
      t.deepEqual(read(reordered, source), read(compactWeight(dense, target), source));
    }),
    { seed: 1 },
  );
});

test('each patch of a compact kernel is scaled by its output', (t) => {
  const grouping = recogniseGrouping(Mask.fromSupports(3, [[0, 2], [1], []]));
  const source = sourceOf({ kernel: [3, 1, 1], by: [3] });
  t.deepEqual(supportsOf(grouping)[1], [1]);
  t.deepEqual(read(scaleOutputsWeight(storedWeight('kernel'), grouping, storedWeight('by')), source), [1, 2, 6]);
});

test('views and arithmetic mean what they say', (t) => {
  const source = sourceOf({ m: [2, 3], v: [3], k: [2, 2, 1, 2] });
  const m = storedWeight('m');
  const v = storedWeight('v');
  t.deepEqual(read(m, source), [1, 2, 3, 4, 5, 6]);
  t.deepEqual(read({ kind: 'transpose', of: m, permutation: [1, 0] }, source), [1, 4, 2, 5, 3, 6]);
  t.deepEqual(weightShape({ kind: 'take', of: m, axis: 1, indices: [2, 2, 0, 1] }, source), [2, 4]);
  t.deepEqual(read({ kind: 'take', of: m, axis: 1, indices: [2, 2, 0, 1] }, source), [3, 3, 1, 2, 6, 6, 4, 5]);
  t.deepEqual(read({ kind: 'take', of: m, axis: 0, indices: [1] }, source), [4, 5, 6]);
  t.deepEqual(read({ kind: 'scale', of: m, axis: 1, by: v }, source), [1, 4, 9, 4, 10, 18]);
  t.deepEqual(read({ kind: 'scale', of: m, axis: 0, by: literalWeight([2], [1, -1]) }, source), [1, 2, 3, -4, -5, -6]);
  t.deepEqual(read({ kind: 'reshape', of: m, shape: [6] }, source), [1, 2, 3, 4, 5, 6]);
  t.deepEqual(read({ kind: 'add', left: v, right: v }, source), [2, 4, 6]);
  t.deepEqual(read({ kind: 'subtract', left: fillWeight([3], 1), right: v }, source), [0, -1, -2]);
  t.deepEqual(read({ kind: 'multiply', left: v, right: v }, source), [1, 4, 9]);
  t.deepEqual(read({ kind: 'inverse-root', of: literalWeight([2], [3, 15]), epsilon: 1 }, source), [0.5, 0.25]);
  t.deepEqual(read(contractInputsWeight(storedWeight('k'), literalWeight([2], [1, 10])), source), [
    1 + 2 + 30 + 40,
    5 + 6 + 70 + 80,
  ]);
});

test('a transpose of rank 4 agrees with indexing', (t) => {
  const shape = [2, 3, 4, 5];
  const source = sourceOf({ x: shape });
  const at = (a: number, b: number, c: number, d: number): number => ((a * 3 + b) * 4 + c) * 5 + d + 1;
  const expected: number[] = [];
  for (let c = 0; c < 4; c++)
    for (let a = 0; a < 2; a++) for (let d = 0; d < 5; d++) for (let b = 0; b < 3; b++) expected.push(at(a, b, c, d));
  t.deepEqual(read(transposeWeight(storedWeight('x'), [2, 0, 3, 1]), source), expected);
});

test('intermediates are float64: a folded batch norm is rounded once', (t) => {
  const source = mapSource(
    new Map([
      ['gamma', { shape: [1], values: Float32Array.of(0.1) }],
      ['variance', { shape: [1], values: Float32Array.of(0.3) }],
      ['kernel', { shape: [1, 1, 1, 1], values: Float32Array.of(0.7) }],
    ]),
  );
  const factor = multiplyWeights(storedWeight('gamma'), inverseRootWeight(storedWeight('variance'), 1e-5));
  const exact = Math.fround(0.7) * (Math.fround(0.1) * (1 / Math.sqrt(Math.fround(0.3) + 1e-5)));
  t.deepEqual(read(scaleWeight(storedWeight('kernel'), 0, factor), source), [Math.fround(exact)]);
});

test('constructors leave out what does nothing and merge what can be one step', (t) => {
  const w = storedWeight('w');
  t.is(takeWeight(w, 0, [0, 1, 2], 3), w);
  t.deepEqual(takeWeight(w, 0, [0, 1], 3), { kind: 'take', of: w, axis: 0, indices: [0, 1] });
  t.deepEqual(takeWeight(takeWeight(w, 0, [2, 0, 1], 3), 0, [1, 2, 0], 3), {
    kind: 'take',
    of: w,
    axis: 0,
    indices: [0, 1, 2],
  });
  t.deepEqual(takeWeight(literalWeight([3], [5, 6, 7]), 0, [2, 0], 3), literalWeight([2], [7, 5]));
  t.is(transposeWeight(transposeWeight(w, [1, 2, 0]), [2, 0, 1]), w);
  t.is(scaleWeight(w, 0, fillWeight([3], 1)), w);
  t.deepEqual(scaleWeight(scaleWeight(w, 0, literalWeight([1], [2])), 0, literalWeight([1], [3])), {
    kind: 'scale',
    of: w,
    axis: 0,
    by: literalWeight([1], [6]),
  });
  t.is(addWeights(fillWeight([3], 0), w), w);
  t.is(subtractWeights(w, fillWeight([3], 0)), w);
  t.deepEqual(inverseRootWeight(fillWeight([2], 3), 1), fillWeight([2], 0.5));
  t.deepEqual(reshapeWeight(reshapeWeight(w, [6]), [2, 3]), { kind: 'reshape', of: w, shape: [2, 3] });
  const grouping = recogniseGrouping(Mask.fromSupports(2, [[1], [0]]));
  t.is(compactWeight(expandWeight(w, grouping), grouping), w);
  t.is(reorderWeight(w, grouping, [0, 1], [0, 1]), w);
  const swapped = reorderWeight(w, grouping, [1, 0], [0, 1]);
  t.is(reorderWeight(swapped, grouping, [1, 0], [0, 1]), w);
  t.deepEqual(
    scaleOutputsWeight(scaleOutputsWeight(w, grouping, literalWeight([2], [2, 3])), grouping, fillWeight([2], 1)),
    {
      kind: 'scale-outputs',
      of: w,
      grouping,
      by: literalWeight([2], [2, 3]),
    },
  );
  const dense = recogniseGrouping(Mask.ones(2, 2));
  t.is(compactWeight(w, dense), w);
  t.is(expandWeight(w, dense), w);
  t.deepEqual(reorderWeight(w, dense, [1, 0], [0, 1]), { kind: 'take', of: w, axis: 0, indices: [1, 0] });
  t.deepEqual(scaleOutputsWeight(w, dense, literalWeight([2], [2, 3])), {
    kind: 'scale',
    of: w,
    axis: 0,
    by: literalWeight([2], [2, 3]),
  });
});

test('expressions that do not fit their operands are refused with the shapes', (t) => {
  const source = sourceOf({ m: [2, 3], v: [2] });
  const m = storedWeight('m');
  const refused = (weight: Weight, message: string): void => {
    for (const use of [weightShape, readWeight])
      t.throws(() => use(weight, source), { instanceOf: InvalidInputError, message });
  };
  refused(storedWeight('x'), "there is no tensor 'x'");
  refused({ kind: 'scale', of: m, axis: 1, by: storedWeight('v') }, 'scale by a weight of shape [2], it must be [3]');
  refused({ kind: 'scale', of: m, axis: 2, by: storedWeight('v') }, 'scale along axis 2 of a weight of shape [2, 3]');
  refused({ kind: 'take', of: m, axis: 1, indices: [3] }, 'take of index 3 along axis 1 of a weight of shape [2, 3]');
  refused(
    { kind: 'add', left: m, right: storedWeight('v') },
    'add of weights of shapes [2, 3] and [2], they must be equal',
  );
  refused({ kind: 'reshape', of: m, shape: [5] }, 'reshape of a weight of shape [2, 3] to [5]');
  refused({ kind: 'literal', shape: [2], values: [1] }, 'a literal weight of shape [2] has 1 values');
  refused(
    { kind: 'fill', shape: [1e6, 1e6], value: 0 },
    'a weight has shape [1000000, 1000000]: more than 2³¹ - 1 values',
  );
  const grouping = recogniseGrouping(Mask.fromSupports(3, [[0], [1, 2]]));
  refused({ kind: 'compact', of: m, grouping }, 'compact of a weight of shape [2, 3], the grouping has 3 → 2 channels');
  refused(
    { kind: 'expand', of: m, grouping },
    "expand of a weight of shape [2, 3], the grouping's kernel is [3, 2, 3]",
  );
});

test('sources can be renamed and layered', (t) => {
  const source = sourceOf({ 'model.a': [1], 'model.b': [2], optimiser: [3] });
  const renamed = renamedSource(source, (name) => (name.startsWith('model.') ? name.slice(6) : null));
  t.deepEqual(renamed.names, ['a', 'b']);
  t.deepEqual(renamed.shape('b'), [2]);
  t.throws(() => renamed.read('optimiser'), { instanceOf: InvalidInputError });
  t.throws(() => renamedSource(source, () => 'same'), {
    message: "tensors 'model.a' and 'model.b' would both be named 'same'",
  });
  const layered = layeredSource(sourceOf({ a: [7] }), renamed);
  t.deepEqual(layered.names, ['a', 'b']);
  t.deepEqual(layered.shape('a'), [7]);
  t.deepEqual(layered.shape('b'), [2]);
  t.deepEqual(storedNamesOf(addWeights(storedWeight('a'), storedWeight('b'))), ['a', 'b']);
  t.throws(() => mapSource(new Map([['a', { shape: [2], values: new Float32Array(3) }]])), {
    message: "tensor 'a' has 3 values, its shape is [2]",
  });
});
