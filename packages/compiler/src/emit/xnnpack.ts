import { readTflite, type TfliteModel, type TfliteOperation } from '../import/tflite-file.js';

/** An operation that XNNPACK leaves to LiteRT's own kernels. */
export interface RefusedOperation {
  /** Name of the tensor that it computes. */
  readonly node: string;
  readonly operator: string;
  readonly reason: string;
}

/** What LiteRT's XNNPACK delegate, its fast path on CPUs, takes of a file. */
export interface DelegateReport {
  readonly operations: number;
  readonly delegated: number;
  readonly refused: readonly RefusedOperation[];
}

type Rule = (operation: TfliteOperation) => string | null;

const never =
  (reason: string): Rule =>
  () =>
    reason;

/** More inputs than that have no operator in XNNPACK. */
const mostConcatenated = 5;

const pooling: Rule = ({ options }) => {
  const [strideWidth, strideHeight, width, height] = [1, 2, 3, 4].map((slot) => options?.int32(slot) ?? 0) as [
    number,
    number,
    number,
    number,
  ];
  return strideHeight > height || strideWidth > width
    ? `its stride ${strideHeight}×${strideWidth} exceeds its window ${height}×${width}`
    : null;
};

/** Operators of ours that the delegate refuses always or under a condition, as its source (ai-edge-litert 2.3) checks them. */
const rules: Readonly<Record<string, Rule>> = {
  AVERAGE_POOL_2D: pooling,
  MAX_POOL_2D: pooling,
  CONCATENATION: ({ inputs }) =>
    inputs.length > mostConcatenated ? `it has ${inputs.length} inputs, more than ${mostConcatenated}` : null,
  GATHER: never('XNNPACK has no gather'),
  MIRROR_PAD: never('XNNPACK pads with constants only'),
  PADV2: never('the delegate takes PAD only'),
  POW: never('the delegate does not take it'),
  RESIZE_NEAREST_NEIGHBOR: never('the delegate takes RESIZE_BILINEAR only'),
  STRIDED_SLICE: never('the delegate takes SLICE only, not strides'),
};

/**
 * Which operations of a TFLite file of ours LiteRT's XNNPACK delegate takes.
 * @throws {InvalidInputError} if the bytes are no TFLite file.
 */
export function xnnpackReport(bytes: Uint8Array): DelegateReport {
  const { operations, tensors }: TfliteModel = readTflite(bytes);
  const refused = operations.flatMap((operation): RefusedOperation[] => {
    const reason = rules[operation.operator]?.(operation) ?? null;
    if (reason === null) return [];
    return [{ node: tensors[operation.outputs[0]!]!.name, operator: operation.operator, reason }];
  });
  return { operations: operations.length, delegated: operations.length - refused.length, refused };
}
