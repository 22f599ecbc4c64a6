import test from 'ava';
import { InvalidInputError } from '../errors.js';
import { Mask } from '../grouping/mask.js';
import { singleNodeModel } from '../testing/single-node.js';
import type { Connectivity } from './connectivity.js';
import type { NodeOf } from './graph.js';
import { hardGrouping } from './hard-grouping.js';
import { mapSource } from './sources.js';
import { fillWeight, literalWeight } from './weight-constructors.js';
import type { Weight } from './weights.js';
import { squareWindow } from './window.js';

const noWeights = mapSource(new Map());
const counts = { channelsOut: 4, channelsIn: 4 };
const conv = (connectivity: Connectivity, slots: Record<string, Weight> = {}): NodeOf<'conv2d'> =>
  singleNodeModel([[1, 2, 2, 4]], {
    op: 'conv2d',
    attrs: { ...squareWindow(1), connectivity, pre: 'none', activation: { function: 'identity' } },
    weights: { kernel: fillWeight([4, 4, 1, 1], 1), ...slots },
  }).graph.nodes[0] as NodeOf<'conv2d'>;

test('every state of a convolution has its grouping', (t) => {
  const pairs = Mask.fromFunction(4, 4, (output, input) => output % 2 === input % 2);
  const alternating = {
    kind: 'equal',
    ...counts,
    groups: 2,
    outputOrder: [0, 2, 1, 3],
    inputOrder: [0, 2, 1, 3],
  } as const;
  t.is(hardGrouping(conv(alternating), noWeights), alternating);
  t.deepEqual(hardGrouping(conv({ kind: 'masked', ...counts, mask: pairs }), noWeights), alternating);
  const dgconv = conv({ kind: 'learned', rule: 'dgconv', ...counts }, { gates: literalWeight([2], [0.1, -0.1]) });
  t.deepEqual(hardGrouping(dgconv, noWeights), alternating);
  const scores = literalWeight([4, 2], [1, 0, 0, 1, 1, 0, 0, 1]);
  const flgc = conv(
    { kind: 'learned', rule: 'flgc', ...counts, groups: 2 },
    { inputAssignment: scores, outputAssignment: scores },
  );
  t.deepEqual(hardGrouping(flgc, noWeights), alternating);
  const mask = literalWeight([4, 4, 1, 1], [1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1]);
  const condense = conv({ kind: 'learned', rule: 'condense', ...counts, groups: 2, condenseFactor: 2 }, { mask });
  t.deepEqual(hardGrouping(condense, noWeights), alternating);
});

test('a gate that is no number, or gates that do not fit, are refused with the node', (t) => {
  const learned = { kind: 'learned', rule: 'dgconv', ...counts } as const;
  t.throws(() => hardGrouping(conv(learned, { gates: literalWeight([2], [1, NaN]) }), noWeights), {
    instanceOf: InvalidInputError,
    message: "node 'node' (conv2d, dgconv): gate 1 is NaN: a gate must be a number, it is on where it is > 0",
  });
  t.throws(() => hardGrouping(conv(learned, { gates: literalWeight([3], [1, 1, 1]) }), noWeights), {
    message: "node 'node' (conv2d, dgconv): 3 gates do not fit 4 → 4 channels: gcd 4 = 2·2 needs 2",
  });
  t.throws(() => hardGrouping(conv(learned), noWeights), {
    message: "node 'node' (conv2d, dgconv): the slot 'gates' is empty",
  });
});
