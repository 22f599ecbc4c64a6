export { convertLayout, runNhwc } from './layout.js';
export * from './runtime.js';
export { feedsInOrder } from './feeds.js';
export { dgconvRunArm64, edgeArm64Runtime } from './edge-arm64.js';
export { edgeNativeRuntime, edgeWasmRuntime } from './edge.js';
export { runtimeOf, runtimes, runtimesFor } from './registry.js';
export { ortRuntime } from './ort.js';
export { litertRuntime } from './litert.js';
<<<<<<< HEAD
export { edgeArm64Runtime } from './edge-arm64.js';
export { isNpy, type NpyTensor, readNpy, writeNpy } from './npy.js';
=======
export { isNpy, readNpy, writeNpy } from './npy.js';
>>>>>>> ebfa8d0 (Runtime edge-arm64: dgconv-run under qemu, one process a run; suites go through a bundle, as on a board)
