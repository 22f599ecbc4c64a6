import type { Builder } from 'flatbuffers';

/** A field of an option table: its type and value; null leaves the slot at its default. */
export type OptionField =
  readonly ['int8' | 'int32' | 'float' | 'bool', number] | readonly ['int32-vector', readonly number[]] | null;

/** Fused activations of TFLite. */
export const fusedActivation = { none: 0, relu: 1, relu6: 3 } as const;
export const paddingScheme = { same: 0, valid: 1 } as const;
export const tensorType = { float32: 0, int32: 2 } as const;

/** Builtin operator: its code, the union id of its option table (0: it has none), and the version a runtime must know. */
export interface TfliteOperator {
  readonly code: number;
  readonly optionsType: number;
  readonly version: number;
}

const operator = (code: number, optionsType = 0, version = 1): TfliteOperator => ({ code, optionsType, version });

/** The builtin operators that we write, from TFLite's schema (version 3). */
export const operators = {
  add: operator(0, 11),
  averagePool: operator(1, 5),
  concatenation: operator(2, 10),
  conv2d: operator(3, 1),
  /** Filter with fewer input channels than the input. */
  conv2dGrouped: operator(3, 1, 6),
  depthwiseConv2d: operator(4, 2),
  depthwiseConv2dDilated: operator(4, 2, 2),
  floor: operator(8),
  fullyConnected: operator(9, 8),
  logistic: operator(14),
  maxPool: operator(17, 5),
  multiply: operator(18, 21),
  relu: operator(19),
  reluN1To1: operator(20),
  relu6: operator(21),
  reshape: operator(22, 17),
  resizeBilinear: operator(23, 15, 3),
  softmax: operator(25, 9),
  tanh: operator(28),
  pad: operator(34, 22),
  gather: operator(36, 23),
  transpose: operator(39, 26),
  mean: operator(40, 27),
  subtract: operator(41, 28),
  divide: operator(42, 29),
  stridedSlice: operator(45, 32),
  exp: operator(47, 33),
  prelu: operator(54),
  maximum: operator(55, 39),
  minimum: operator(57, 39),
  negate: operator(59, 42),
  padV2: operator(60, 43),
  slice: operator(65, 48),
  transposeConv: operator(67, 49, 3),
  log: operator(73),
  sum: operator(74, 27),
  sqrt: operator(75),
  power: operator(78, 56),
  reduceMax: operator(82, 27),
  reduceMin: operator(89, 27),
  resizeNearest: operator(97, 74, 3),
  leakyRelu: operator(98, 75),
  mirrorPad: operator(100, 77),
  abs: operator(101, 78),
  ceil: operator(104),
  elu: operator(111),
  hardSwish: operator(117, 91),
  batchMatmul: operator(126, 101),
  gelu: operator(150, 116),
} as const;

/** Writes an option table and returns its offset. */
export const writeOptions = (builder: Builder, fields: readonly OptionField[]): number => {
  const vectors = fields.map((field) => (field?.[0] === 'int32-vector' ? writeInt32Vector(builder, field[1]) : 0));
  builder.startObject(fields.length);
  fields.forEach((field, slot) => {
    switch (field?.[0]) {
      case undefined:
        break;
      case 'int8':
      case 'bool':
        builder.addFieldInt8(slot, field![1] as number, 0);
        break;
      case 'int32':
        builder.addFieldInt32(slot, field![1] as number, 0);
        break;
      case 'float':
        builder.addFieldFloat32(slot, field![1] as number, 0);
        break;
      case 'int32-vector':
        builder.addFieldOffset(slot, vectors[slot]!, 0);
        break;
    }
  });
  return builder.endObject();
};

/** Writes `[int]` and returns its offset. */
export const writeInt32Vector = (builder: Builder, values: readonly number[]): number => {
  builder.startVector(4, values.length, 4);
  for (let i = values.length - 1; i >= 0; i--) builder.addInt32(values[i]!);
  return builder.endVector();
};

/** Writes a vector of offsets and returns its offset. */
export const writeOffsetVector = (builder: Builder, offsets: readonly number[]): number => {
  builder.startVector(4, offsets.length, 4);
  for (let i = offsets.length - 1; i >= 0; i--) builder.addOffset(offsets[i]!);
  return builder.endVector();
};

/** Writes `[ubyte]` whose first byte is 16-byte aligned in the file, as TFLite asks of buffers. */
export const writeAlignedBytes = (builder: Builder, bytes: Uint8Array): number => {
  builder.prep(16, bytes.length);
  return builder.createByteVector(bytes);
};
