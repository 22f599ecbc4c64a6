import test from 'ava';
import fc from 'fast-check';
import * as tf from '../tf.js';
import {
  convOutputSize,
  groupedConv2d,
  groupedConv2dFilterGradients,
  groupedConv2dInputGradient,
} from '../ops/grouped-conv.js';
import type { GroupedConv2DAttrs } from '../ops/grouped-conv-signatures.js';
import { gateStructure } from '../ops/gate-structure.js';
import { findVariants } from './test-variants.js';

const { variants, missing } = await findVariants();
for (const name of missing) test.skip(`skipped: the native code's form ${name} is not here`, (t) => t.pass());

const small = fc.integer({ min: 1, max: 3 });
const pad = fc.integer({ min: 0, max: 2 });
const order = (length: number) =>
  fc.option(
    fc.shuffledSubarray(
      Array.from({ length }, (_, index) => index),
      { minLength: length, maxLength: length },
    ),
  );

/** Convolutions whose channels a group lie on all sides of the tiles' widths; values are small integers, so that sums are exact. */
const convolutions = fc
  .record({
    batch: fc.integer({ min: 1, max: 5 }),
    height: fc.integer({ min: 1, max: 9 }),
    width: fc.integer({ min: 1, max: 9 }),
    groups: fc.constantFrom(1, 1, 2, 3, 4, 8, 12),
    groupIn: fc.constantFrom(1, 2, 3, 4, 8, 16, 17, 31),
    groupOut: fc.constantFrom(1, 2, 4, 5, 8, 16, 33, 48, 64, 70),
    kernel: fc.tuple(small, small),
    strides: fc.tuple(small, small),
    dilations: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
    padding: fc.tuple(pad, pad, pad, pad),
    seed: fc.nat(),
  })
  .chain((conv) =>
    fc.record({
      conv: fc.constant(conv),
      inputOrder: order(conv.groups * conv.groupIn),
      outputOrder: order(conv.groups * conv.groupOut),
      inputGroups: fc.option(
        fc.array(fc.nat({ max: conv.groups - 1 }), { minLength: conv.groups, maxLength: conv.groups }),
      ),
    }),
  )
  .map(({ conv, inputOrder, outputOrder, inputGroups }) => {
    const { strides, dilations, padding, groups } = conv;
    const attrs: GroupedConv2DAttrs = { strides, dilations, padding, groups, inputOrder, outputOrder };
    return { ...conv, attrs, pairings: [inputGroups] };
  })
  .filter(({ height, width, kernel, attrs }) => convOutputSize([height, width], kernel, attrs).every((n) => n > 0));

/** What DGConv's gates make of 16 or 32 channels, with all partners of its groups. */
const gated = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    height: fc.integer({ min: 2, max: 9 }),
    width: fc.integer({ min: 2, max: 33 }),
    gates: fc.array(fc.constantFrom(-1, 1), { minLength: 4, maxLength: 5 }),
    kernel: fc.tuple(small, fc.integer({ min: 2, max: 4 })),
    strides: fc.tuple(small, small),
    padding: fc.tuple(pad, pad, pad, pad),
    dilations: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
    seed: fc.nat(),
  })
  .map(({ gates, strides, padding, dilations, ...shape }) => {
    const channels = 2 ** gates.length;
    const { pairs, terms } = gateStructure(gates, channels, channels);
    const { groups, inputOrder, outputOrder } = pairs;
    const attrs: GroupedConv2DAttrs = { strides, padding, dilations, groups, inputOrder, outputOrder };
    const partners = terms.flatMap((term) => (term.on ? [] : term.partners));
    const pairings = [null, ...partners.map(({ inputGroups }) => inputGroups)];
    return { ...shape, groupIn: channels / groups, groupOut: channels / groups, attrs, pairings };
  })
  .filter(({ height, width, kernel, attrs }) => convOutputSize([height, width], kernel, attrs).every((n) => n > 0));

interface Conv {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly groupIn: number;
  readonly groupOut: number;
  readonly kernel: [number, number];
  readonly seed: number;
  readonly attrs: GroupedConv2DAttrs;
  readonly pairings: readonly (readonly number[] | null)[];
}
type Shape4 = [number, number, number, number];

const integers = (shape: Shape4, seed: number) =>
  tf.tidy(() => tf.floor(tf.randomUniform(shape, -3, 4, 'float32', seed))) as tf.Tensor4D;

/** All three products on the current backend. */
function products({ batch, height, width, groupIn, groupOut, kernel, seed, attrs, pairings }: Conv): Float32Array[] {
  return tf.tidy(() => {
    const x = integers([batch, height, width, attrs.groups * groupIn], seed);
    const filter = integers([...kernel, groupIn, attrs.groups * groupOut], seed + 1);
    const y = groupedConv2d(x, filter, attrs);
    const dy = integers(y.shape, seed + 2);
    const dx = groupedConv2dInputGradient(dy, filter, { ...attrs, inputShape: x.shape });
    const dfilters = groupedConv2dFilterGradients(x, dy, { ...attrs, filterShape: filter.shape, pairings });
    return [y, dx, ...dfilters].map((tensor) => tensor.dataSync().slice() as Float32Array);
  });
}

for (const { name, module, use } of variants) {
  test.serial(`${name}: the products of random grouped convolutions equal the plain ones exactly`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(convolutions, gated), async (conv: Conv) => {
        await tf.setBackend('cpu');
        const expected = products(conv);
        await use();
        t.deepEqual(products(conv), expected);
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  test.serial(`${name}: results on real numbers do not depend on the number of threads`, async (t) => {
    await use();
    const run = () =>
      tf.tidy(() => {
        const x = tf.randomNormal([9, 14, 14, 24], 0, 1, 'float32', 1) as tf.Tensor4D;
        const filter = tf.randomNormal([3, 3, 24, 40], 0, 1, 'float32', 2) as tf.Tensor4D;
        const conv = (a: tf.Tensor, b: tf.Tensor) => tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 2, 'same');
        const loss = (a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.square(conv(a, b))) as tf.Scalar;
        const { value, grads } = tf.valueAndGrads(loss)([x, filter]);
        return [value, ...grads].map((tensor) => tensor.dataSync().slice() as Float32Array);
      });
    const results = [1, 2, 3].map((threads) => {
      module.setThreads(threads);
      return run();
    });
    t.deepEqual(results[1], results[0]);
    t.deepEqual(results[2], results[0]);
  });

  test.serial(`${name}: tfjs's own convolutions and their gradients equal those of its plain backend`, async (t) => {
    const cases = fc.record({
      size: fc.tuple(fc.integer({ min: 3, max: 8 }), fc.integer({ min: 3, max: 8 })),
      channels: fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 40 })),
      kernel: small,
      stride: small,
      pad: fc.constantFrom('same' as const, 'valid' as const),
      seed: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ size, channels, kernel, stride, pad: padding, seed }) => {
        const run = () =>
          tf.tidy(() => {
            const x = integers([2, ...size, channels[0]], seed);
            const filter = integers([kernel, kernel, ...channels], seed + 1);
            const conv = (a: tf.Tensor4D, b: tf.Tensor4D) => tf.conv2d(a, b, stride, padding);
            const y = conv(x, filter);
            const dy = integers(y.shape, seed + 2);
            const bias = tf.range(0, channels[1]) as tf.Tensor1D;
            const fused = tf.fused.conv2d({ x, filter, strides: stride, pad: padding, bias, activation: 'relu' });
            const grads = tf.grads((a, b) => conv(a as tf.Tensor4D, b as tf.Tensor4D))([x, filter], dy);
            return [y, fused, ...grads].map((tensor) => tensor.dataSync().slice() as Float32Array);
          });
        await tf.setBackend('cpu');
        const expected = run();
        await use();
        t.deepEqual(run(), expected);
      }),
      { numRuns: 30, seed: 1 },
    );
  });
}
