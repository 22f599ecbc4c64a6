export { compile, type CompiledLayer, type CompileOptions, type CompileResult } from './compile.js';
export { notFaster, type PredictedTime } from './predicted-times.js';
export { type Shuffle } from './shuffles.js';
export * from './emit/index.js';
export { importOnnx, type OnnxImportOptions } from './import/onnx.js';
export { externalDataBeside } from './import/onnx-external.js';
export {
  decodeOnnxTensor,
  type ExternalData,
  type ExternalReader,
  isFloatType,
  type OnnxTensor,
} from './import/onnx-tensor.js';
export { decodeOnnx, type OnnxModel } from './import/onnx-file.js';
export { importTflite, type TfliteImportOptions } from './import/tflite.js';
export { openTorchCheckpoint } from './import/torch.js';
export { type LayerReport } from './layer-reports.js';
export { type Target, targets } from './passes/form-costs.js';
export { type Format, type PassObserver } from './passes/pipeline.js';
export {
  checkEquivalence,
  cutAfter,
  difference,
  type DifferingNode,
  type EquivalenceReport,
  type Evaluator,
  firstDifferingNode,
  interpreted,
  networkTolerance,
  type Tensors,
  type TestInput,
  testInputs,
} from './equivalence.js';
export { maskedDense } from './masked-dense.js';
export { integerProbe } from './integer-probe.js';
export { type ImportedModel, importModel, type ImportOptions } from './import/import-model.js';
export { type FoundMask, type MaskedModel, masksFromZeros } from './import/masks-from-zeros.js';
export { openSafetensorsCheckpoint } from './import/safetensors-checkpoint.js';
