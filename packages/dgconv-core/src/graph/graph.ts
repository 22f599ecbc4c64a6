import type { AttrsByOp, OpKind, WeightsByOp } from './ops.js';
import type { Shape } from './shape.js';
import type { WeightSource } from './weights.js';

/** One operation; its single output is the value named `id`. `origin` names the nodes of the imported network that it came from. */
export type Node = {
  readonly [K in OpKind]: {
    readonly id: string;
    readonly op: K;
    readonly inputs: readonly string[];
    readonly attrs: AttrsByOp[K];
    readonly weights: WeightsByOp[K];
    readonly origin: readonly string[];
  };
}[OpKind];

/** The node type of one op. */
export type NodeOf<K extends OpKind> = Extract<Node, { op: K }>;

/** Dimension order of a value of rank 4 at the border of the network, as its users see it. */
export type Layout = 'NHWC' | 'NCHW';

export interface GraphInput {
  readonly name: string;
  /** For batch 1, always NHWC inside: `[1, H, W, C]`. */
  readonly shape: Shape;
}

export interface GraphOutput {
  readonly name: string;
  /** The node or input whose value this is. */
  readonly value: string;
}

/** How an image becomes the input tensor, channel values 0-255 scaled to `(value/255 - mean) / standardDeviation`. */
export interface Preprocessing {
  /** Shorter side in pixels after resizing; null: the image is resized to the input size exactly. */
  readonly resizeShorterSide: number | null;
  readonly colour: 'rgb' | 'grey';
  readonly mean: readonly number[];
  readonly standardDeviation: readonly number[];
}

export interface GraphMetadata {
  readonly name: string;
  readonly preprocessing?: Preprocessing;
  readonly classNames?: readonly string[];
  /** SHA-256 of the file that the network came from, followed by the shards that hold its weights. */
  readonly sourceHash?: string;
  readonly producer?: string;
}

/** A network: immutable, nodes in topological order, values NHWC; shapes are derived (`types.ts`), floats live in a `WeightSource`. */
export interface Graph {
  readonly formatVersion: '1.0';
  readonly nodes: readonly Node[];
  readonly inputs: readonly GraphInput[];
  readonly outputs: readonly GraphOutput[];
  readonly metadata: GraphMetadata;
}

/** A graph with its floats: what importers give and everything else takes. */
export interface Model {
  readonly graph: Graph;
  readonly weights: WeightSource;
}
