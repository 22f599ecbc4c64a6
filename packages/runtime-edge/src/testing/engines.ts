import { nativeEngine } from '../engine-native.js';

/** The engines that this machine has, for tests that run on each. */
export const testEngines: readonly ('native' | 'wasm')[] = nativeEngine() === null ? ['wasm'] : ['native', 'wasm'];
