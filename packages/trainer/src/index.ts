export * as tf from './tf.js';
export { backendNames, findBackends, useBackend, type BackendName } from './backends.js';
export { dgConv2d } from './ops/dg-conv.js';
export type { ConvOptions } from './ops/conv-options.js';
