const page = 4096;
const cacheLine = 64;

/** Bytes that a block needs beyond its array, for {@link skipToPlace}. */
export const placementBytes = page;

/**
 * Bytes to skip from `address` on, so that the border array `index` (inputs, then outputs) begins at a cache line, and at another place
 * of a page than its neighbours and the engine's first values: those that one op reads and writes then share few sets of a cache.
 */
export function skipToPlace(address: number, index: number): number {
  const place = (17 * index + 8) * cacheLine;
  return (((place - address) % page) + page) % page;
}
