import test from 'ava';
import fc from 'fast-check';
import type { Grouping } from './grouping.js';
import { Mask } from './mask.js';
import { canonicalGrouping, recogniseGrouping, reorderGrouping } from './recognise.js';
import { connectionsOf, inputsOf, maskOf, supportsOf } from './supports.js';

const smallMask = fc
  .tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 }), fc.double({ min: 0, max: 1, noNaN: true }))
  .chain(([rows, cols, density]) =>
    fc
      .array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: rows * cols, maxLength: rows * cols })
      .map((values) => Mask.fromFunction(rows, cols, (row, col) => values[row * cols + col]! <= density)),
  );

/** Masks with structure: every output copies the support of one of a few classes, so all kinds occur. */
const classMask = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 6 }), fc.boolean())
  .chain(([classes, copies, cols, isTransposed]) =>
    fc
      .tuple(
        fc.array(fc.subarray([...Array(cols).keys()]), { minLength: classes, maxLength: classes }),
        fc.shuffledSubarray([...Array(classes * copies).keys()], { minLength: classes * copies }),
      )
      .map(([supports, order]) => {
        const mask = Mask.fromSupports(
          cols,
          order.map((row) => supports[row % classes]!),
        );
        return isTransposed ? mask.transpose() : mask;
      }),
  );

const anyMask = fc.oneof(smallMask, classMask);

/** An independent, literal reading of the definitions. */
function bruteForceKind(mask: Mask): Grouping['kind'] {
  const row = (m: Mask, r: number): string => m.rowSupport(r).join();
  const isShared = (m: Mask): boolean => {
    const counts = new Map<string, number>();
    for (let r = 0; r < m.rows; r++) counts.set(row(m, r), (counts.get(row(m, r)) ?? 0) + 1);
    const supportSizes = new Set([...counts.keys()].map((key) => (key === '' ? 0 : key.split(',').length)));
    const classSizes = new Set(counts.values());
    return (
      counts.size >= 2 &&
      supportSizes.size === 1 &&
      !supportSizes.has(0) &&
      classSizes.size === 1 &&
      [...classSizes][0]! >= 2
    );
  };
  // Connected components by flood fill over the bipartite graph.
  const component = new Array<number>(mask.rows + mask.cols).fill(-1);
  let components = 0;
  for (let start = 0; start < component.length; start++) {
    if (component[start] !== -1) continue;
    const queue = [start];
    component[start] = components;
    while (queue.length > 0) {
      const vertex = queue.pop()!;
      for (let other = 0; other < component.length; other++) {
        const isEdge =
          vertex < mask.rows
            ? other >= mask.rows && mask.get(vertex, other - mask.rows) === 1
            : other < mask.rows && mask.get(other, vertex - mask.rows) === 1;
        if (isEdge && component[other] === -1) {
          component[other] = components;
          queue.push(other);
        }
      }
    }
    components++;
  }
  let isFull = true;
  for (let r = 0; r < mask.rows; r++)
    for (let c = 0; c < mask.cols; c++)
      if (component[r] === component[mask.rows + c] && mask.get(r, c) === 0) isFull = false;
  if (isFull) {
    if (components === 1) return 'dense';
    const sizes = new Set<string>();
    for (let id = 0; id < components; id++) {
      const outputs = component.slice(0, mask.rows).filter((other) => other === id).length;
      const inputs = component.slice(mask.rows).filter((other) => other === id).length;
      if (outputs === 0 || inputs === 0) return 'unequal';
      sizes.add(`${outputs}×${inputs}`);
    }
    return sizes.size === 1 ? 'equal' : 'unequal';
  }
  if (isShared(mask)) return 'shared-inputs';
  return isShared(mask.transpose()) ? 'shared-outputs' : 'unstructured';
}

test('recognition is exact: it agrees with a brute-force reading and its inverse gives the mask back', (t) => {
  fc.assert(
    fc.property(anyMask, (mask) => {
      const grouping = recogniseGrouping(mask);
      t.is(grouping.kind, bruteForceKind(mask));
      t.true(maskOf(grouping).equals(mask));
      t.is(connectionsOf(grouping), mask.nonZeros);
      supportsOf(grouping).forEach((support, output) => {
        t.deepEqual(support, mask.rowSupport(output));
        t.deepEqual(inputsOf(grouping, output), support);
      });
    }),
    { numRuns: 500, seed: 1 },
  );
});

test('recognition does not depend on the order of channels, and reordering a grouping is reordering its mask', (t) => {
  const withOrders = anyMask.chain((mask) =>
    fc.tuple(
      fc.constant(mask),
      fc.shuffledSubarray([...Array(mask.rows).keys()], { minLength: mask.rows }),
      fc.shuffledSubarray([...Array(mask.cols).keys()], { minLength: mask.cols }),
    ),
  );
  fc.assert(
    fc.property(withOrders, ([mask, rows, cols]) => {
      const grouping = recogniseGrouping(mask);
      const reordered = recogniseGrouping(mask.reorder(rows, cols));
      t.is(reordered.kind, grouping.kind);
      t.is(reordered.groups, grouping.groups);
      const direct = reorderGrouping(grouping, rows, cols);
      if (direct.kind === 'unstructured') t.true(direct.mask.equals(mask.reorder(rows, cols)));
      else t.deepEqual(direct, reordered);
    }),
    { numRuns: 300, seed: 1 },
  );
});

test('any matrix that can be read entry by entry is recognised', (t) => {
  const matrix = { rows: 2, cols: 2, get: (row: number, col: number): 0 | 1 => (row === col ? 1 : 0) };
  t.is(recogniseGrouping(matrix).kind, 'equal');
});

test('each kind is recognised in its canonical form', (t) => {
  t.deepEqual(recogniseGrouping(Mask.ones(2, 3)), { kind: 'dense', channelsOut: 2, channelsIn: 3, groups: 1 });
  t.deepEqual(
    recogniseGrouping(
      Mask.fromSupports(4, [
        [1, 3],
        [0, 2],
      ]),
    ),
    {
      kind: 'equal',
      channelsOut: 2,
      channelsIn: 4,
      groups: 2,
      outputOrder: [1, 0],
      inputOrder: [0, 2, 1, 3],
    },
  );
  t.deepEqual(recogniseGrouping(Mask.fromSupports(4, [[], [1, 2], [], [0]])), {
    kind: 'unequal',
    channelsOut: 4,
    channelsIn: 4,
    groups: 5,
    blocks: [
      { outputs: [3], inputs: [0] },
      { outputs: [1], inputs: [1, 2] },
      { outputs: [], inputs: [3] },
      { outputs: [0], inputs: [] },
      { outputs: [2], inputs: [] },
    ],
  });
  t.deepEqual(
    recogniseGrouping(
      Mask.fromSupports(3, [
        [0, 1],
        [1, 2],
        [0, 1],
        [1, 2],
      ]),
    ),
    {
      kind: 'shared-inputs',
      channelsOut: 4,
      channelsIn: 3,
      groups: 2,
      classes: [
        { outputs: [0, 2], inputs: [0, 1] },
        { outputs: [1, 3], inputs: [1, 2] },
      ],
    },
  );
  t.deepEqual(
    recogniseGrouping(
      Mask.fromSupports(3, [
        [0, 1],
        [1, 2],
        [0, 1],
        [1, 2],
      ]).transpose(),
    ),
    {
      kind: 'shared-outputs',
      channelsOut: 3,
      channelsIn: 4,
      groups: 2,
      classes: [
        { outputs: [0, 1], inputs: [0, 2] },
        { outputs: [1, 2], inputs: [1, 3] },
      ],
    },
  );
  t.is(recogniseGrouping(Mask.fromSupports(2, [[0], [0, 1]])).kind, 'unstructured');
  t.is(recogniseGrouping(Mask.fromSupports(3, [[], [], []])).kind, 'unequal');
});

test('equal groups in any order of channels have one canonical form, that of their mask', (t) => {
  fc.assert(
    fc.property(
      fc
        .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }))
        .chain(([groups, outputs, inputs]) => {
          const shuffled = (size: number): fc.Arbitrary<number[]> =>
            fc.shuffledSubarray([...Array(size).keys()], { minLength: size });
          return fc.record({
            kind: fc.constant('equal' as const),
            groups: fc.constant(groups),
            channelsOut: fc.constant(groups * outputs),
            channelsIn: fc.constant(groups * inputs),
            outputOrder: shuffled(groups * outputs),
            inputOrder: shuffled(groups * inputs),
          });
        }),
      (grouping) => {
        t.deepEqual(canonicalGrouping(grouping), recogniseGrouping(maskOf(grouping)));
      },
    ),
    { seed: 1 },
  );
});
