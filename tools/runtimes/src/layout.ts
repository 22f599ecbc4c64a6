import type { Layout } from '@dgconv/core';
import type { RuntimeSession, RuntimeTensor } from './runtime.js';

/** A tensor of rank 4 in another dimension order; of any other rank, and where nothing changes, the tensor itself. */
export function convertLayout({ shape, data }: RuntimeTensor, from: Layout, to: Layout): RuntimeTensor {
  if (from === to || shape.length !== 4) return { shape, data };
  const [batch, a, b, c] = shape as readonly [number, number, number, number];
  // NHWC → NCHW moves the last dimension forward: each image [H·W, C] is transposed; NCHW → NHWC is the same on [C, H·W].
  const [rows, columns] = from === 'NHWC' ? [a * b, c] : [a, b * c];
  const result = new Float32Array(data.length);
  for (let image = 0; image < batch; image++) {
    const offset = image * rows * columns;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        result[offset + column * rows + row] = data[offset + row * columns + column]!;
      }
    }
  }
  return { shape: from === 'NHWC' ? [batch, c, a, b] : [batch, b, c, a], data: result };
}

/**
 * Runs a session whose callers think in NHWC, whatever the format's own order is: `feeds` and results are NHWC.
 * @throws {InvalidInputError} if an input is missing or does not fit.
 */
export async function runNhwc(
  session: RuntimeSession,
  feeds: Readonly<Record<string, Float32Array>>,
): Promise<Record<string, RuntimeTensor>> {
  const inputs = Object.entries(feeds).map(([name, data]): [string, Float32Array] => {
    const spec = session.inputs.find((input) => input.name === name);
    if (!spec || spec.layout === 'NHWC' || spec.shape.length !== 4) return [name, data];
    const [batch, channels, height, width] = spec.shape as readonly [number, number, number, number];
    return [name, convertLayout({ shape: [batch, height, width, channels], data }, 'NHWC', spec.layout).data];
  });
  const results = await session.run(Object.fromEntries(inputs));
  return Object.fromEntries(
    session.outputs.map(({ name, layout }) => [name, convertLayout(results[name]!, layout, 'NHWC')]),
  );
}
