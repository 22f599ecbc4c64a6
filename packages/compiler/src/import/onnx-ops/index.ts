import type { OnnxOp } from '../onnx-node.js';
import * as activation from './activation.js';
import * as arithmetic from './arithmetic.js';
import * as convolution from './convolution.js';
import * as decision from './decision.js';
import * as gather from './gather.js';
import * as linear from './linear.js';
import * as normalization from './normalization.js';
import * as pooling from './pooling.js';
import * as reduction from './reduction.js';
import * as resize from './resize.js';
import * as shape from './shape.js';

const families: readonly Readonly<Record<string, unknown>>[] = [
  activation,
  arithmetic,
  convolution,
  decision,
  gather,
  linear,
  normalization,
  pooling,
  reduction,
  resize,
  shape,
];

/** ONNX's operators by name: the exports of the families that are named as operators are (helpers start with a small letter). */
export const onnxOps: ReadonlyMap<string, OnnxOp> = new Map(
  families.flatMap((family) =>
    Object.entries(family).filter((entry): entry is [string, OnnxOp] => /^[A-Z]/.test(entry[0])),
  ),
);
