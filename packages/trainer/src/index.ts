export * as tf from './tf.js';
export { backendNames, findBackends, useBackend, type BackendName } from './backends.js';
