import test from 'ava';
import fc from 'fast-check';
import { GraphBuilder } from './builder.js';
import { convolutionKey, convolutionShapes, describeConvolution, readLatencyTable } from './latency-table.js';

const entry = (changes: object = {}) => ({
  channelsIn: 8,
  channelsOut: 16,
  height: 7,
  width: 5,
  kernelSize: [3, 3],
  strides: [2, 2],
  dilations: [1, 1],
  padding: { top: 1, bottom: 1, left: 1, right: 1 },
  groups: 2,
  ms: 0.25,
  ...changes,
});

const table = (changes: object = {}) => ({
  cpu: 'some CPU',
  threads: 1,
  networks: [{ name: 'net', ms: 1.5, restMs: 0 }],
  entries: [entry(), entry({ groups: 4 })],
  ...changes,
});

const read = (value: unknown) => readLatencyTable(JSON.stringify(value), 'table.json');

test('a table comes back as it was written', (t) => {
  t.deepEqual(read(table()) as unknown, table());
});

const refusal = test.macro((t, value: unknown, message: RegExp) => {
  t.throws(() => read(value), { name: 'InvalidInputError', message });
});

test('a list is no table', refusal, [], /^table\.json: an object is needed, not a list$/);
test('no networks are no table', refusal, { ...table(), networks: undefined }, /the field 'networks' is missing$/);
test('a time of NaN is refused', refusal, table({ entries: [entry({ ms: 'NaN' })] }), /^table\.json\.entries\[0\]\.ms: a time is a finite number of at least 0, and this is NaN$/); // prettier-ignore
test(
  'a negative time is refused',
  refusal,
  table({ entries: [entry({ ms: -1 })] }),
  /entries\[0\]\.ms: .* this is -1$/,
);
test('an infinite time is refused', refusal, table({ networks: [{ name: 'net', ms: 'Infinity', restMs: 0 }] }), /networks\[0\]\.ms: .* this is Infinity$/); // prettier-ignore
test('a time in words is refused', refusal, table({ entries: [entry({ ms: 'fast' })] }), /a number is needed, not "fast"$/); // prettier-ignore
test('a channel count of 0 is refused', refusal, table({ entries: [entry({ channelsIn: 0 })] }), /channelsIn: an integer of at least 1 is needed, not 0$/); // prettier-ignore
test('a negative padding is refused', refusal, table({ entries: [entry({ padding: { top: -1, bottom: 0, left: 0, right: 0 } })] }), /padding\.top: an integer of at least 0/); // prettier-ignore
test('one convolution with two times is refused', refusal, table({ entries: [entry(), entry({ ms: 1 })] }), /^table\.json: a convolution \(3×3, stride 2, padding 1, 8 → 16 channels, input 7×5, 2 groups\) has two times$/); // prettier-ignore
test('one network with two times is refused', refusal, table({ networks: [1, 2].map((ms) => ({ name: 'net', ms, restMs: 0 })) }), /the network 'net' has two times$/); // prettier-ignore

test('what is no JSON is refused, whatever is broken', (t) => {
  const text = JSON.stringify(table());
  t.throws(() => readLatencyTable(text.slice(0, -1), 'table.json'), { message: /^table\.json: not JSON/ });
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 4 }), (at, inserted) => {
      try {
        const { entries } = readLatencyTable(text.slice(0, at) + inserted + text.slice(at + 1), 'table.json');
        t.true(entries.every(({ ms }) => Number.isFinite(ms) && ms >= 0));
      } catch (error) {
        t.is((error as Error).name, 'InvalidInputError');
      }
    }),
    { seed: 1 },
  );
});

test('every convolution of a graph has its shape; what changes the time changes the key', (t) => {
  const g = new GraphBuilder({ name: 'net' });
  let x = g.conv('a', g.input('x', [1, 9, 9, 4]), { channelsOut: 6, kernelSize: 3, stride: 2 });
  x = g.conv('b', x, { channelsOut: 6, kernelSize: 3, dilation: 2, groups: 3 });
  x = g.conv('c', x, { channelsOut: 6, kernelSize: 3, dilation: 2 });
  const y = g.dense('fc', g.globalAveragePool('gap', g.conv('d', x, { channelsOut: 6, kernelSize: 3, padding: 0 })), 2);
  const shapes = convolutionShapes(g.build([{ name: 'y', value: y }]));
  t.deepEqual(
    shapes.map(({ node, shape }) => [node.id, describeConvolution(shape)]),
    [
      ['a', '3×3, stride 2, padding 1, 4 → 6 channels, input 9×9'],
      ['b', '3×3, stride 1, dilation 2, padding 2, 6 → 6 channels, input 5×5'],
      ['c', '3×3, stride 1, dilation 2, padding 2, 6 → 6 channels, input 5×5'],
      ['d', '3×3, stride 1, padding 0, 6 → 6 channels, input 5×5'],
    ],
  );
  const keys = shapes.map(({ shape }) => convolutionKey(shape));
  t.is(keys[1], keys[2]);
  t.is(new Set(keys).size, 3);
});
