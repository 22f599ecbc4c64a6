import test from 'ava';
import fc from 'fast-check';
import type * as tfc from '@tensorflow/tfjs-core';
import * as tf from '../tf.js';
import { findBackends, useBackend } from '../backends.js';
import { convOutputSize, groupedConv2d, groupedConv2dFilterGradient } from './grouped-conv.js';
import type { GroupedConv2DAttrs } from './grouped-conv-signatures.js';

const { available, missing } = await findBackends();
for (const { name, reason } of missing) test.skip(`skipped: backend ${name}: ${reason}`, (t) => t.pass());

const permutation = (length: number) =>
  fc.shuffledSubarray(
    Array.from({ length }, (_, index) => index),
    { minLength: length, maxLength: length },
  );

const size = fc.integer({ min: 1, max: 3 });

const pad = fc.integer({ min: 0, max: 2 });

/** A random grouped convolution with small integers, so that every backend must be exact. */
const convolutions = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    height: fc.integer({ min: 5, max: 7 }),
    width: fc.integer({ min: 5, max: 8 }),
    groups: fc.integer({ min: 1, max: 5 }),
    groupIn: size,
    groupOut: size,
    kernel: fc.tuple(size, size),
    strides: fc.tuple(size, size),
    dilations: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
    padding: fc.tuple(pad, pad, pad, pad),
    ordered: fc.boolean(),
    seed: fc.nat(),
  })
  .chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      inputOrder: permutation(shape.groups * shape.groupIn),
      outputOrder: permutation(shape.groups * shape.groupOut),
      inputGroups: permutation(shape.groups),
    }),
  )
  .map(({ shape, inputOrder, outputOrder, inputGroups }) => {
    const attrs: GroupedConv2DAttrs = {
      strides: shape.strides,
      dilations: shape.dilations,
      padding: shape.padding,
      groups: shape.groups,
      inputOrder: shape.ordered ? inputOrder : null,
      outputOrder: shape.ordered ? outputOrder : null,
    };
    return { ...shape, attrs, inputGroups };
  });

function integers(shape: [number, number, number, number], seed: number): tfc.Tensor4D {
  return tf.tidy(() => tf.floor(tf.randomUniform(shape, -3, 4, 'float32', seed)));
}

/** The dense kernel `[kh, kw, I, O]` that computes the same. */
function denseKernel(filter: tfc.Tensor4D, attrs: GroupedConv2DAttrs): tfc.Tensor4D {
  const [kh, kw, groupIn, channelsOut] = filter.shape;
  const groupOut = channelsOut / attrs.groups;
  const channelsIn = groupIn * attrs.groups;
  const from = filter.arraySync();
  const dense = tf.buffer([kh, kw, channelsIn, channelsOut]);
  for (let y = 0; y < kh; y++)
    for (let x = 0; x < kw; x++)
      for (let i = 0; i < groupIn; i++)
        for (let p = 0; p < channelsOut; p++) {
          const position = Math.floor(p / groupOut) * groupIn + i;
          const input = attrs.inputOrder ? attrs.inputOrder[position]! : position;
          const output = attrs.outputOrder ? attrs.outputOrder[p]! : p;
          dense.set(from[y]![x]![i]![p]!, y, x, input, output);
        }
  return dense.toTensor() as tfc.Tensor4D;
}

/** tfjs's own convolution cannot stride and dilate at once: dilate the kernel. */
function referenceConv(
  x: tfc.Tensor4D,
  kernel: tfc.Tensor4D,
  { strides, padding, dilations }: GroupedConv2DAttrs,
): tfc.Tensor4D {
  return tf.tidy(() => {
    const [kh, kw, channelsIn, channelsOut] = kernel.shape;
    const spread = tf.buffer([(kh - 1) * dilations[0] + 1, (kw - 1) * dilations[1] + 1, channelsIn, channelsOut]);
    const values = kernel.arraySync();
    for (let y = 0; y < kh; y++)
      for (let c = 0; c < kw; c++)
        for (let i = 0; i < channelsIn; i++)
          for (let o = 0; o < channelsOut; o++)
            spread.set(values[y]![c]![i]![o]!, y * dilations[0], c * dilations[1], i, o);
    const padded = tf.pad(x, [
      [0, 0],
      [padding[0], padding[1]],
      [padding[2], padding[3]],
      [0, 0],
    ]);
    return tf.conv2d(padded, spread.toTensor() as tfc.Tensor4D, [strides[0], strides[1]], 'valid');
  });
}

const fits = ({
  height,
  width,
  kernel,
  attrs,
}: {
  height: number;
  width: number;
  kernel: [number, number];
  attrs: GroupedConv2DAttrs;
}) => convOutputSize([height, width], kernel, attrs).every((length) => length > 0);

for (const backend of available) {
  test.serial(
    `on ${backend} a grouped convolution and its gradients equal the dense convolution with zeros`,
    async (t) => {
      await useBackend(backend);
      fc.assert(
        fc.property(convolutions.filter(fits), (conv) => {
          tf.tidy(() => {
            const { attrs, seed } = conv;
            const x = integers([conv.batch, conv.height, conv.width, conv.groups * conv.groupIn], seed);
            const filter = integers([...conv.kernel, conv.groupIn, conv.groups * conv.groupOut], seed + 1);
            const dense = denseKernel(filter, attrs);
            const y = groupedConv2d(x, filter, attrs);
            t.deepEqual(y.dataSync(), referenceConv(x, dense, attrs).dataSync());
            const dy = integers(y.shape, seed + 2);
            const [dx, dfilter] = tf.grads((a: tfc.Tensor, b: tfc.Tensor) =>
              groupedConv2d(a as tfc.Tensor4D, b as tfc.Tensor4D, attrs),
            )([x, filter], dy) as [tfc.Tensor4D, tfc.Tensor4D];
            // A bilinear map's gradients are its adjoints: <dy, conv(u, w)> = <dx, u> for every u.
            const u = integers(x.shape, seed + 3);
            const w = integers(filter.shape, seed + 4);
            t.is(dot(dx, u), dot(dy, groupedConv2d(u, filter, attrs)));
            t.is(dot(dfilter, w), dot(dy, groupedConv2d(x, w, attrs)));
          });
        }),
        { numRuns: 40, seed: 1 },
      );
    },
  );

  test.serial(
    `on ${backend} a filter gradient pairs each output group with the input group that it is told`,
    async (t) => {
      await useBackend(backend);
      fc.assert(
        fc.property(convolutions.filter(fits), (conv) => {
          tf.tidy(() => {
            const { attrs, inputGroups, groupIn, seed } = conv;
            const channelsIn = conv.groups * groupIn;
            const x = integers([conv.batch, conv.height, conv.width, channelsIn], seed);
            const filterShape: [number, number, number, number] = [
              ...conv.kernel,
              groupIn,
              conv.groups * conv.groupOut,
            ];
            const [outHeight, outWidth] = convOutputSize([conv.height, conv.width], conv.kernel, attrs);
            const dy = integers([conv.batch, outHeight, outWidth, conv.groups * conv.groupOut], seed + 1);
            const order = attrs.inputOrder ?? Array.from({ length: channelsIn }, (_, channel) => channel);
            const moved = inputGroups.flatMap((group) => order.slice(group * groupIn, (group + 1) * groupIn));
            const paired = groupedConv2dFilterGradient(x, dy, { ...attrs, filterShape, inputGroups });
            const reordered = groupedConv2dFilterGradient(x, dy, {
              ...attrs,
              filterShape,
              inputGroups: null,
              inputOrder: moved,
            });
            t.deepEqual(paired.dataSync(), reordered.dataSync());
          });
        }),
        { numRuns: 20, seed: 1 },
      );
    },
  );
}

/** The sum of products; 0 where it is -0: TensorFlow's sum of products that are all -0 is -0. */
function dot(a: tfc.Tensor, b: tfc.Tensor): number {
  return tf.tidy(() => tf.sum(tf.mul(a, b)).dataSync()[0]! + 0);
}
