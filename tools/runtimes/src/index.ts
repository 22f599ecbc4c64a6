export { convertLayout, runNhwc } from './layout.js';
export * from './runtime.js';
export { feedsInOrder } from './feeds.js';
export { dgconvRunArm64, edgeArm64Runtime } from './edge-arm64.js';
export { edgeNativeRuntime, edgeWasmRuntime, wasmVariant } from './edge.js';
export { runtimeOf, runtimes, runtimesFor } from './registry.js';
export { ortRuntime } from './ort.js';
export { litertRuntime } from './litert.js';
export { isNpy, readNpy, writeNpy } from './npy.js';
