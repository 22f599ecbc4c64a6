import { elementCount, RandomSource, type Shape } from '@dgconv/core';

/** Inputs in ±1 for a session, the same for every runtime up to layout. */
export function inputsOf(session: {
  readonly inputs: readonly { readonly name: string; readonly shape: Shape }[];
}): Record<string, Float32Array> {
  const random = new RandomSource(7);
  return Object.fromEntries(
    session.inputs.map(({ name, shape }): [string, Float32Array] => [
      name,
      Float32Array.from({ length: elementCount(shape) }, () => 2 * random.uniform() - 1),
    ]),
  );
}
