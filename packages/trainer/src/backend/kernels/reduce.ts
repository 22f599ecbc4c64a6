import * as tf from '../../tf.js';
import { areFloats, kernel, sizeOf, type Named, type NamedKernel } from '../kernel.js';

interface Attrs {
  readonly axis: number | number[] | undefined;
  readonly keepDims: boolean;
}

const reduction = (name: string, isMean: boolean): NamedKernel =>
  kernel<Named<'x'>, Attrs>(name, ({ inputs: { x }, attrs: { axis, keepDims }, backend, plain }) => {
    const axes = tf.util.parseAxisParam(axis as number | number[], x.shape).toSorted((a, b) => a - b);
    const adjacent = axes.every((a, place) => a === axes[0]! + place);
    if (!areFloats(x) || axes.length === 0 || !adjacent) return plain();
    const first = axes[0]!;
    const end = axes.at(-1)! + 1;
    const reduced = sizeOf(x.shape.slice(first, end));
    const shape = keepDims
      ? x.shape.map((size, a) => (axes.includes(a) ? 1 : size))
      : x.shape.filter((_, a) => !axes.includes(a));
    const outer = sizeOf(x.shape.slice(0, first));
    const inner = sizeOf(x.shape.slice(end));
    const params = { outer, reduced, inner, scale: isMean ? 1 / reduced : 1 };
    return backend.compute('sum', params, shape, [backend.floats(x)]);
  });

/** Sums and means over neighbouring axes. */
export const reduceKernels = [reduction(tf.Sum, false), reduction(tf.Mean, true)];
