export { emitters } from './emitters.js';
export type { ArtifactMetadata, LayerGrouping } from './metadata.js';
export { emitOnnx } from './onnx.js';
export { readOnnxMetadata, readTfliteMetadata } from './read-metadata.js';
export { emitTflite } from './tflite.js';
export { type DelegateReport, type RefusedOperation, xnnpackReport } from './xnnpack.js';
