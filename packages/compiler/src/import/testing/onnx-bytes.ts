import onnxProto, { type onnx } from 'onnx-proto';

const { ModelProto, TensorProto } = onnxProto.onnx;

/** Sizes, and names of sizes that stay open. */
export type Dimensions = readonly (number | string)[];

/** A graph input or output. */
export const value = (
  name: string,
  dimensions: Dimensions,
  type = TensorProto.DataType.FLOAT,
): onnx.IValueInfoProto => ({
  name,
  type: {
    tensorType: {
      elemType: type,
      shape: { dim: dimensions.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size })) },
    },
  },
});

/** A float32 initialiser. */
export const floats = (name: string, dims: readonly number[], values: readonly number[]): onnx.ITensorProto => ({
  name,
  dims: [...dims],
  dataType: TensorProto.DataType.FLOAT,
  rawData: new Uint8Array(Float32Array.from(values).buffer),
});

/** An int64 initialiser of one dimension. */
export const integers = (name: string, values: readonly number[]): onnx.ITensorProto => ({
  name,
  dims: [values.length],
  dataType: TensorProto.DataType.INT64,
  int64Data: [...values],
});

/** A node, named after its operator. */
export const node = (
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attribute: onnx.IAttributeProto[] = [],
): onnx.INodeProto => ({ opType, input: [...input], output: [...output], name: `the ${opType}`, attribute });

/** An attribute of integers. */
export const ints = (name: string, values: readonly number[]): onnx.IAttributeProto => ({
  name,
  ints: [...values],
  type: 7,
});

/** What a test says of its model. */
export interface Parts {
  readonly opset?: number;
  readonly nodes: onnx.INodeProto[];
  readonly initializers?: onnx.ITensorProto[];
  readonly input?: Dimensions;
  /** Default: x alone. */
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly inputType?: number;
  readonly functions?: onnx.IFunctionProto[];
}

/** A model, with the input x and the output y where nothing else is said. */
export function encode(parts: Parts): Uint8Array {
  const {
    opset = 13,
    nodes,
    initializers = [],
    input = [1, 2, 2, 2],
    inputs = ['x'],
    outputs = ['y'],
    inputType,
    functions = [],
  } = parts;
  const graph = {
    name: 'test',
    node: nodes,
    initializer: initializers,
    input: inputs.map((name) => value(name, input, inputType)),
    output: outputs.map((name) => value(name, [])),
  };
  const opsetImport = [
    { domain: '', version: opset },
    { domain: 'ours', version: 1 },
  ];
  return ModelProto.encode(ModelProto.create({ irVersion: 8, opsetImport, graph, functions })).finish();
}
