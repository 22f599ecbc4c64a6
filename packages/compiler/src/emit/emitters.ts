import type { Model } from '@dgconv/core';
import { encodeEdge } from '@dgconv/runtime-edge';
import type { Format } from '../passes/pipeline.js';
import { emitOnnx } from './onnx.js';
import { emitTflite } from './tflite.js';

/**
 * The bytes of a compiled model (`CompileResult.targets`) in each format.
 * @throws {UnsupportedError} if a format cannot express a node.
 */
export const emitters: Readonly<Record<Format, (model: Model) => Uint8Array>> = {
  edge: (model) => encodeEdge(model),
  onnx: emitOnnx,
  tflite: emitTflite,
};
