export { decodeEdge } from './edge-decode.js';
export { encodeEdge, type EncodeEdgeOptions, type TestVector } from './edge-encode.js';
export type { EdgeSource } from './edge-source.js';
export { measurePeakGflops, nativeInstructionSets } from './engine-native.js';
export type { WasmVariant } from './engine-wasm.js';
export { type OnnxRuntime, registerOnnxRuntimeBackend } from './onnxruntime-backend.js';
export type { EdgePlan, PlanStep, StepTime } from './plan.js';
export { EdgeSession, type SessionOptions, type TensorInfo, type Tensors } from './session.js';
