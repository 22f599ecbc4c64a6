/** Geometry of a convolution; "input" is x and "output" is y of the forward pass, whichever of the three products is computed. */
export interface ConvParams {
  batch: number;
  inputHeight: number;
  inputWidth: number;
  inputChannels: number;
  outputHeight: number;
  outputWidth: number;
  outputChannels: number;
  filterHeight: number;
  filterWidth: number;
  strideHeight: number;
  strideWidth: number;
  padTop: number;
  padLeft: number;
  dilationHeight: number;
  dilationWidth: number;
  groups: number;
}

export interface BatchNormParams {
  rows: number;
  channels: number;
  /** 0 or 1. */
  relu: number;
  epsilon: number;
}

export interface ElementsParams {
  elements: number;
}

/** Dimensions collapsed to four, the last innermost; a stride of 0 broadcasts. */
export interface BinaryParams {
  /** Place in {@link binaryKinds}. */
  kind: number;
  size0: number;
  size1: number;
  size2: number;
  size3: number;
  strideA0: number;
  strideA1: number;
  strideA2: number;
  strideA3: number;
  strideB0: number;
  strideB1: number;
  strideB2: number;
  strideB3: number;
}

/** `[outer, reduced, inner]` → `[outer, inner]`, times scale. */
export interface ReduceParams {
  outer: number;
  reduced: number;
  inner: number;
  scale: number;
}

export interface MomentumParams {
  elements: number;
  learningRate: number;
  momentum: number;
  weightDecay: number;
  /** 0 or 1. */
  nesterov: number;
}

export interface PoolParams {
  /** 1: maximum, 0: average. */
  maximum: number;
  batch: number;
  channels: number;
  inputHeight: number;
  inputWidth: number;
  outputHeight: number;
  outputWidth: number;
  filterHeight: number;
  filterWidth: number;
  strideHeight: number;
  strideWidth: number;
  padTop: number;
  padLeft: number;
}

/** Which pairs of a dense kernel a compact one holds. */
export interface PairsParams {
  taps: number;
  channelsIn: number;
  channelsOut: number;
  groups: number;
}

export interface GateSumsParams {
  taps: number;
  channelsOut: number;
  groups: number;
  groupIn: number;
  digits: number;
}

/** Operations of the native code (`native/schema.inc`, which says what buffers each takes) and their parameters. */
export interface Operations {
  conv: ConvParams;
  convInputGradient: ConvParams;
  convFilterGradients: ConvParams;
  batchNorm: BatchNormParams;
  batchNormGradient: BatchNormParams;
  relu: ElementsParams;
  reluGradient: ElementsParams;
  addRelu: ElementsParams;
  step: ElementsParams;
  addMany: ElementsParams;
  binary: BinaryParams;
  sum: ReduceParams;
  momentum: MomentumParams;
  pool: PoolParams;
  poolGradient: PoolParams;
  compactKernel: PairsParams;
  expandKernel: PairsParams;
  gateSums: GateSumsParams;
}

/** Kinds of the operation `binary`, in the native code's order. */
export const binaryKinds = ['add', 'subtract', 'multiply', 'divide', 'maximum', 'minimum'] as const;

/** Memory of the tensors that an operation reads and writes. */
export type Buffers = readonly (Float32Array | Int32Array)[];

/** Which buffers each operation writes, `[first, end)`; without an end all from the first on. */
export const outputBuffers: { readonly [Name in keyof Operations]: readonly [first: number, end?: number] } = {
  conv: [2, 3],
  convInputGradient: [2, 3],
  convFilterGradients: [5],
  batchNorm: [3, 6],
  batchNormGradient: [6, 9],
  relu: [1, 2],
  reluGradient: [2, 3],
  addRelu: [2, 3],
  step: [1, 2],
  addMany: [0, 1],
  binary: [2, 3],
  sum: [1, 2],
  momentum: [3, 5],
  pool: [1, 2],
  poolGradient: [3, 4],
  compactKernel: [4, 5],
  expandKernel: [4, 5],
  gateSums: [4, 5],
};

/** The native code's own list of operations: number and parameter names of each. */
export class Schema {
  readonly #operations = new Map<string, { code: number; names: readonly string[] }>();

  /** @param text - `name:parameter,…;name:…`, in the order of the operations' numbers. */
  constructor(text: string) {
    for (const [code, entry] of text.split(';').filter(Boolean).entries()) {
      const [name, names] = entry.split(':');
      this.#operations.set(name!, { code, names: names!.split(',').filter(Boolean) });
    }
  }

  /** Parameters in the order in which the native code reads them. */
  encode<Name extends keyof Operations>(
    operation: Name,
    params: Operations[Name],
  ): { code: number; values: Float64Array } {
    const described = this.#operations.get(operation);
    if (!described) throw new Error(`internal: the native module has no operation "${operation}"`);
    const byName = params as unknown as Readonly<Record<string, number>>;
    const values = new Float64Array(described.names.length);
    described.names.forEach((name, index) => {
      const value = byName[name];
      if (value === undefined) throw new Error(`internal: operation "${operation}" lacks its parameter "${name}"`);
      values[index] = value;
    });
    return { code: described.code, values };
  }
}

const statuses = [
  'ok',
  'unknown operation',
  'wrong number of parameters',
  'wrong number of buffers',
  'a buffer is too small',
  'a parameter is out of range',
];

/** @throws if the native code refused a call, which the callers' checks should have prevented. */
export function checkStatus(operation: string, status: number, params: object): void {
  if (status !== 0) {
    throw new Error(`internal: ${operation}: ${statuses[status] ?? status} (${JSON.stringify(params)})`);
  }
}
