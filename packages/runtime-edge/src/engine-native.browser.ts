import type { Engine } from './engine.js';

/** There are no addons in a browser: bundlers put this in the place of `engine-native.js`. */
export function nativeEngine(): Engine | null {
  return null;
}

/** None without an addon. */
export function nativeInstructionSets(): string[] {
  return [];
}

/** Not measurable without an addon. */
export function measurePeakGflops(): number | null {
  return null;
}
