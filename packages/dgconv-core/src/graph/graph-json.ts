import { InvalidInputError } from '../errors.js';
import { checkGrouping } from '../grouping/check.js';
import type { Grouping, GroupBlock } from '../grouping/grouping.js';
import { Mask, type MaskJson } from '../grouping/mask.js';
import type { Connectivity, LearnedConnectivity } from './connectivity.js';
import {
  array,
  boolean,
  decodeJson,
  type Decoder,
  encodeNumber,
  integer,
  nullable,
  number,
  object,
  oneOf,
  pair,
  type Place,
  record,
  string,
  tagged,
} from './decoder.js';
import type { Graph, GraphMetadata, Node, NodeOf, Preprocessing } from './graph.js';
import { type Activation, type AttrsByOp, type OpKind, type Padding, plainActivations, type Window } from './ops.js';
import { verifyGraph } from './verify.js';
import { decodeWeight } from './weight-json.js';

const integers = array(integer);
const numbers = array(number);
const counts = { channelsOut: integer, channelsIn: integer };

/** What `make` gives; the rule that it finds broken is told with the place. */
function checked<T>(make: () => T, place: Place): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof InvalidInputError) return place.refuse(error.message);
    throw error;
  }
}

const mask: Decoder<Mask> = (value, place) => {
  const json = object<MaskJson>({ rows: integer, cols: integer, bits: string })(value, place);
  return checked(() => Mask.fromJSON(json), place);
};

const blocks = array(object<GroupBlock>({ outputs: integers, inputs: integers }));
const one: Decoder<1> = (value, place) => (value === 1 ? 1 : place.refuse('1 is needed'));

type GroupingKinds = { readonly [K in Grouping['kind']]: Decoder<Extract<Grouping, { kind: K }>> };
const groupingKinds: GroupingKinds = {
  dense: object({ kind: oneOf('dense'), ...counts, groups: one }),
  equal: object({ kind: oneOf('equal'), ...counts, groups: integer, outputOrder: integers, inputOrder: integers }),
  unequal: object({ kind: oneOf('unequal'), ...counts, groups: integer, blocks }),
  'shared-inputs': object({ kind: oneOf('shared-inputs'), ...counts, groups: integer, classes: blocks }),
  'shared-outputs': object({ kind: oneOf('shared-outputs'), ...counts, groups: integer, classes: blocks }),
  unstructured: object({ kind: oneOf('unstructured'), ...counts, groups: one, mask }),
};

const anyGrouping = tagged<Grouping>('kind', groupingKinds);

/** A grouping as JSON has it, in canonical form. */
const grouping: Decoder<Grouping> = (value, place) => {
  const decoded = anyGrouping(value, place);
  checked(() => checkGrouping(decoded), place);
  return decoded;
};

const learned = oneOf('learned');
type LearnedRules = { readonly [R in LearnedConnectivity['rule']]: Decoder<Extract<LearnedConnectivity, { rule: R }>> };
const learnedRules: LearnedRules = {
  dgconv: object({ kind: learned, rule: oneOf('dgconv'), ...counts }),
  flgc: object({ kind: learned, rule: oneOf('flgc'), ...counts, groups: integer }),
  condense: object({ kind: learned, rule: oneOf('condense'), ...counts, groups: integer, condenseFactor: integer }),
};
const connectivity: Decoder<Connectivity> = tagged<Connectivity>('kind', {
  ...Object.fromEntries(Object.keys(groupingKinds).map((kind) => [kind, grouping])),
  masked: object({ kind: oneOf('masked'), ...counts, mask }),
  learned: tagged<LearnedConnectivity>('rule', learnedRules),
});

const plainActivation = object({
  function: oneOf(...plainActivations),
});
const activation: Decoder<Activation> = (value, place) => {
  const name = typeof value === 'object' && value !== null ? (value as { function?: unknown }).function : undefined;
  if (name === 'leaky-relu' || name === 'elu')
    return object({ function: oneOf('leaky-relu', 'elu'), alpha: number })(value, place);
  if (name === 'clip' || name === 'hard-sigmoid')
    return object({ function: oneOf('clip', 'hard-sigmoid'), alpha: number, beta: number })(value, place);
  return plainActivation(value, place);
};

const window = {
  kernelSize: pair(integer),
  strides: pair(integer),
  dilations: pair(integer),
  padding: object<Padding>({ top: integer, bottom: integer, left: integer, right: integer }),
} satisfies { readonly [K in keyof Window]: Decoder<Window[K]> };

const nothing = object({});

const attributes: { readonly [K in OpKind]: Decoder<AttrsByOp[K]> } = {
  conv2d: object({ ...window, connectivity, pre: oneOf('none', 'affine-relu'), activation }),
  'conv2d-transpose': object({ ...window, ...counts, groups: integer, outputPadding: pair(integer), activation }),
  dense: object({ ...counts, activation }),
  matmul: nothing,
  'batch-norm': object({ channels: integer, epsilon: number }),
  affine: object({ channels: integer }),
  activation: object({ activation }),
  prelu: object({ channels: integer }),
  binary: object({
    function: oneOf('add', 'subtract', 'multiply', 'divide', 'maximum', 'minimum', 'power'),
    activation,
  }),
  constant: object({ shape: integers }),
  softmax: object({ axis: integer }),
  'max-pool': object(window),
  'average-pool': object({ ...window, countPadding: boolean }),
  reduce: object({ function: oneOf('mean', 'sum', 'max', 'min'), axes: integers, keepDims: boolean }),
  concat: object({ axis: integer }),
  slice: object({ starts: integers, sizes: integers, steps: integers }),
  pad: object({ before: integers, after: integers, mode: oneOf('constant', 'reflect', 'edge'), value: number }),
  resize: object({
    size: pair(integer),
    mode: oneOf('nearest', 'linear'),
    coordinates: oneOf('half-pixel', 'pytorch-half-pixel', 'align-corners', 'asymmetric'),
    rounding: oneOf('round-prefer-floor', 'round-prefer-ceil', 'floor', 'ceil'),
    scales: nullable(pair(number)),
  }),
  transpose: object({ permutation: integers }),
  reshape: object({ shape: integers }),
  take: object({ axis: integer, indices: integers }),
  identity: nothing,
  dropout: object({ rate: number }),
};

/** Slots are checked against the node by `verifyGraph`. */
const weights = record(decodeWeight(grouping));

function nodeDecoder<K extends OpKind>(op: K): Decoder<Node> {
  const fields = {
    id: string,
    op: oneOf(op),
    inputs: array(string),
    attrs: attributes[op],
    weights,
    origin: array(string),
  };
  return object(fields) as Decoder<unknown> as Decoder<NodeOf<K>>;
}
const node = tagged<Node>(
  'op',
  Object.fromEntries((Object.keys(attributes) as OpKind[]).map((op) => [op, nodeDecoder(op)])),
);

const preprocessing = object<Preprocessing>({
  resizeShorterSide: nullable(integer),
  colour: oneOf('rgb', 'grey'),
  mean: numbers,
  standardDeviation: numbers,
});

const metadata: Decoder<GraphMetadata> = object(
  { name: string },
  { preprocessing, classNames: array(string), sourceHash: string, producer: string },
);

const graph: Decoder<Graph> = object<Graph>({
  formatVersion: oneOf('1.0'),
  nodes: array(node),
  inputs: array(object({ name: string, shape: integers })),
  outputs: array(object({ name: string, value: string })),
  metadata,
});

/** A graph as JSON, exactly: masks in base64, numbers that JSON cannot say spelled as strings. The same graph gives the same text. */
export function encodeGraph(graph: Graph): string {
  return JSON.stringify(graph, (_, value: unknown) => (typeof value === 'number' ? encodeNumber(value) : value));
}

/**
 * The inverse of {@link encodeGraph}.
 * @throws {InvalidInputError} naming the place in the JSON or the node, and the rule that it breaks.
 */
export function decodeGraph(text: string): Graph {
  const decoded = decodeJson(text, graph, 'graph');
  verifyGraph(decoded);
  return decoded;
}
