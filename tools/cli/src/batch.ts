import { elementCount, InvalidInputError, type Layout, type Shape } from '@dgconv/core';
import { convertLayout, runNhwc, type RuntimeSession, type RuntimeTensor } from '@dgconv/runtimes';

/** Images for one input, one after the other, NHWC. */
export interface Batch {
  readonly count: number;
  readonly data: Float32Array;
}

/** A shape of rank 4 in another dimension order; any other as it is. */
export const shapeInOrder = (shape: Shape, from: Layout, to: Layout): Shape => {
  if (from === to || shape.length !== 4) return shape;
  const [n, a, b, c] = shape as readonly [number, number, number, number];
  return from === 'NCHW' ? [n, b, c, a] : [n, c, a, b];
};

/**
 * An array as a batch for an input.
 * @param input - name and shape of the input, NHWC.
 * @param layout - dimension order of the array; of no meaning unless the rank is 4.
 * @throws {InvalidInputError} if its shape does not fit the input in that order, or it holds no image.
 */
export const toBatch = (
  array: RuntimeTensor,
  input: { readonly name: string; readonly shape: Shape },
  layout: Layout,
  file: string,
): Batch => {
  const wanted = shapeInOrder(input.shape, 'NHWC', layout);
  const fits = array.shape.length === wanted.length && wanted.every((size, axis) => axis === 0 || array.shape[axis] === size); // prettier-ignore
  if (!fits) {
    const order = wanted.length === 4 ? ` in ${layout} order (--layout ${layout.toLowerCase()})` : '';
    const found = array.shape.join(', ');
    throw new InvalidInputError(
      `${file} has the shape [${found}], the input '${input.name}' takes [${['N', ...wanted.slice(1)].join(', ')}]${order}`,
    );
  }
  const count = array.shape[0]! / wanted[0]!;
  if (count < 1 || !Number.isInteger(count))
    throw new InvalidInputError(
      `${file} has a batch of ${array.shape[0]}, the input '${input.name}' takes ${wanted[0]} or a multiple of it`,
    );
  return { count, data: convertLayout(array, layout, 'NHWC').data };
};

/** An output over a whole batch, NHWC. */
export interface BatchOutput extends RuntimeTensor {
  readonly name: string;
  readonly layout: Layout;
}

/** Runs a batch image by image: what every runtime can do, batchable model or not. */
export const runBatch = async (
  session: RuntimeSession,
  input: string,
  { count, data }: Batch,
  onImage: (done: number) => void = () => undefined,
): Promise<BatchOutput[]> => {
  const size = data.length / count;
  const parts = session.outputs.map((): Float32Array[] => []);
  for (let image = 0; image < count; image++) {
    const results = await runNhwc(session, { [input]: data.subarray(image * size, (image + 1) * size) });
    session.outputs.forEach(({ name }, at) => parts[at]!.push(results[name]!.data.slice()));
    onImage(image + 1);
  }
  return session.outputs.map(({ name, shape, layout }, at) => {
    const all = new Float32Array(count * elementCount(shape));
    parts[at]!.forEach((part, image) => all.set(part, image * part.length));
    const [first = 1, ...rest] = shapeInOrder(shape, layout, 'NHWC');
    return { name, layout, shape: [count * first, ...rest], data: all };
  });
};
