export { type ByteSource, bytesInMemory } from './bytes/byte-source.js';
export { bfloat16Value, bytesPerValue, float16Value, toFloat32, type ValueFormat } from './bytes/tensor-values.js';
export {
  CheckFailedError,
  DgconvError,
  type ErrorCode,
  InvalidInputError,
  UnsupportedError,
  UsageError,
} from './errors.js';
export { assignmentMask, hardAssignment } from './grouping/assignment.js';
export { budgetConnections } from './grouping/budget.js';
export { checkChannelCount, checkGrouping } from './grouping/check.js';
export { gateComplexity } from './grouping/complexity.js';
export {
  type GateFactor,
  gateCount,
  gateFactors,
  greatestCommonDivisor,
  hardFactors,
  hardGates,
  primeFactors,
} from './grouping/gates.js';
export type {
  DenseGrouping,
  EqualGrouping,
  GroupBlock,
  Grouping,
  SharedInputsGrouping,
  SharedOutputsGrouping,
  UnequalGrouping,
  UnstructuredGrouping,
} from './grouping/grouping.js';
export { contiguousGrouping } from './grouping/contiguous.js';
export { gatesOfGrouping } from './grouping/gates-of-grouping.js';
export { groupIds, groupingFromGates, kroneckerMask } from './grouping/kronecker.js';
export { Mask, type MaskJson, type MaskView } from './grouping/mask.js';
export {
  channelShuffle,
  checkPermutation,
  composePermutations,
  type DigitPermutation,
  digitPermutation,
  identityPermutation,
  invertPermutation,
  isIdentityPermutation,
  type Permutation,
  recogniseChannelShuffle,
  recogniseDigitPermutation,
} from './grouping/permutation.js';
export { canonicalGrouping, recogniseGrouping, reorderGrouping } from './grouping/recognise.js';
export { blocksOf, connectionsOf, inputsOf, maskOf, supportsOf } from './grouping/supports.js';
export { type ConvOptions, GraphBuilder, type PoolOptions } from './graph/builder.js';
export { isBatchable } from './graph/batchable.js';
export { bind } from './graph/bind.js';
export { condensedForm } from './graph/condensed-form.js';
export { compactOffsets, compactShape } from './graph/compact.js';
export type { Connectivity, LearnedConnectivity, MaskedConnectivity } from './graph/connectivity.js';
export type {
  Graph,
  GraphInput,
  GraphMetadata,
  GraphOutput,
  Layout,
  Model,
  Node,
  NodeOf,
  Preprocessing,
} from './graph/graph.js';
export { type ResizeTap, resizeTaps } from './graph/interpret-resize.js';
export {
  type ConvolutionShape,
  convolutionKey,
  convolutionShapes,
  describeConvolution,
  latencyCaseDecoder,
  type LatencyEntry,
  type LatencyTable,
  type NetworkLatency,
  readLatencyTable,
} from './graph/latency-table.js';
export { learnGroups, type LearnGroupsOptions } from './graph/learn-groups.js';
export type {
  Activation,
  ActivationFunction,
  AttrsByOp,
  BinaryFunction,
  OpKind,
  OpTable,
  Padding,
  WeightsByOp,
  Window,
} from './graph/ops.js';
export { costOf, type LayerCost, type NetworkCost } from './graph/cost.js';
export * as decode from './graph/decoder.js';
export { decodeGraph, encodeGraph } from './graph/graph-json.js';
export { type ModelFile, type ModelFileExtras, readModel, writeModel } from './graph/model-file.js';
export { printConnectivity, printGraph, printWeight } from './graph/print.js';
export { readSafetensors, type SafetensorsFile, type TensorToWrite, writeSafetensors } from './graph/safetensors.js';
export { hardGrouping } from './graph/hard-grouping.js';
export { type Feeds, interpret, interpretAll, type InterpretOptions } from './graph/interpret.js';
export { activationFunction } from './graph/scalar-functions.js';
export { elementCount, formatShape, sameShape, stridesOf, type Shape } from './graph/shape.js';
export { filledSlots, type Slot, slotShapes, slotsOf } from './graph/slots.js';
export {
  layeredSource,
  mapSource,
  renamedSource,
  type StoredTensor,
  storedNames,
  storedNamesOf,
} from './graph/sources.js';
export { broadcastShape, inferShapes, nodeShape } from './graph/types.js';
export {
  anyConnectivity,
  groupedConnectivity,
  hardConnectivity,
  type NodeRule,
  type Stage,
  verifyGraph,
} from './graph/verify.js';
export {
  addWeights,
  compactWeight,
  contractInputsWeight,
  expandWeight,
  fillWeight,
  inverseRootWeight,
  literalWeight,
  multiplyWeights,
  reorderWeight,
  reshapeWeight,
  scaleOutputsWeight,
  scaleWeight,
  storedWeight,
  subtractWeights,
  takeWeight,
  transposeWeight,
} from './graph/weight-constructors.js';
export { operandsOf, readWeight, weightShape } from './graph/weight-rules.js';
export type { Weight, WeightSource } from './graph/weights.js';
export { squareWindow, windowExtent } from './graph/window.js';
export { RandomSource, type RandomState } from './random.js';
export { graphFromArchConfig } from './zoo/arch-config.js';
export type { ZooOptions } from './zoo/fields.js';
export { initialWeights } from './zoo/initial-weights.js';
export { zooGraph, zooNames } from './zoo/registry.js';
