import { InvalidInputError } from '../errors.js';
import { checkChannelCount, checkGrouping } from '../grouping/check.js';
import type { Connectivity } from './connectivity.js';
import type { Graph, Node, NodeOf } from './graph.js';
import type { OpKind, Window } from './ops.js';
import { checkShape, elementCount, formatShape, sameShape } from './shape.js';
import { filledSlots, slotsOf } from './slots.js';
import { inferShapes } from './types.js';

/** What a graph must look like at one point of its way, beyond being well formed. */
export interface Stage {
  /** How messages call it: the pass that just ran, `import`, … */
  readonly after: string;
  /** The kinds of connectivity still allowed; default all. */
  readonly connectivity?: readonly Connectivity['kind'][];
  /** More rules, each giving what is wrong with a node, or null. */
  readonly rules?: readonly NodeRule[];
}

/** What is wrong with a node, or null. */
export type NodeRule = (node: Node, graph: Graph) => string | null;

/** Connectivity of networks in training: everything. */
export const anyConnectivity: readonly Connectivity['kind'][] = [
  'dense',
  'equal',
  'unequal',
  'shared-inputs',
  'shared-outputs',
  'unstructured',
  'masked',
  'learned',
];

/** Connectivity once nothing is learned any more. */
export const hardConnectivity = anyConnectivity.filter((kind) => kind !== 'learned');

/** Connectivity once masks are recognised: what kernels are compact for. */
export const groupedConnectivity = hardConnectivity.filter((kind) => kind !== 'masked');

/** The rule broken when a check throws, else null. */
function broken(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof InvalidInputError) return error.message;
    throw error;
  }
}

const isCount = (value: number): boolean => Number.isInteger(value) && value >= 1;
const isSize = (value: number): boolean => Number.isInteger(value) && value >= 0;

function windowRule({ kernelSize, strides, dilations, padding }: Window): string | null {
  for (const [name, values] of Object.entries({ kernelSize, strides, dilations }))
    if (!values.every(isCount)) return `${name} is [${values.join(', ')}]: both are positive integers`;
  const { top, bottom, left, right } = padding;
  if (![top, bottom, left, right].every(isSize))
    return `padding is [${[top, bottom, left, right].join(', ')}]: non-negative integers are needed`;
  return null;
}

function connectivityRule(connectivity: Connectivity): string | null {
  const { channelsOut, channelsIn } = connectivity;
  if (connectivity.kind !== 'masked' && connectivity.kind !== 'learned')
    return broken(() => checkGrouping(connectivity));
  const counts = broken(() => {
    checkChannelCount(channelsOut, 'channelsOut');
    checkChannelCount(channelsIn, 'channelsIn');
  });
  if (counts !== null) return counts;
  if (connectivity.kind === 'masked') {
    const { rows, cols } = connectivity.mask;
    return rows === channelsOut && cols === channelsIn
      ? null
      : `a mask [${rows}, ${cols}] does not fit ${channelsIn} → ${channelsOut} channels`;
  }
  if (connectivity.rule === 'dgconv') return null;
  const { groups } = connectivity;
  if (!isCount(groups) || groups > Math.max(channelsIn, channelsOut))
    return `${groups} groups for ${channelsIn} → ${channelsOut} channels`;
  if (connectivity.rule === 'flgc') return null;
  if (channelsIn % groups !== 0 || channelsOut % groups !== 0)
    return `${groups} groups do not divide ${channelsIn} → ${channelsOut} channels`;
  return isCount(connectivity.condenseFactor) ? null : `condenseFactor is ${connectivity.condenseFactor}`;
}

const fine = (): null => null;

/** Rules on attributes alone; what depends on input shapes is in `types.ts`. */
const attributeRules: { readonly [K in OpKind]: (attrs: NodeOf<K>['attrs']) => string | null } = {
  conv2d: (attrs) => windowRule(attrs) ?? connectivityRule(attrs.connectivity),
  'conv2d-transpose': (attrs) =>
    windowRule(attrs) ??
    broken(() => {
      checkChannelCount(attrs.channelsOut, 'channelsOut');
      checkChannelCount(attrs.channelsIn, 'channelsIn');
    }) ??
    (isCount(attrs.groups) && attrs.channelsIn % attrs.groups === 0 && attrs.channelsOut % attrs.groups === 0
      ? null
      : `${attrs.groups} groups do not divide ${attrs.channelsIn} → ${attrs.channelsOut} channels`) ??
    (attrs.outputPadding.every(isSize) ? null : `outputPadding is [${attrs.outputPadding.join(', ')}]`),
  dense: (attrs) =>
    broken(() => {
      checkChannelCount(attrs.channelsOut, 'channelsOut');
      checkChannelCount(attrs.channelsIn, 'channelsIn');
    }),
  matmul: fine,
  'batch-norm': ({ channels, epsilon }) =>
    epsilon >= 0 ? broken(() => checkChannelCount(channels, 'channels')) : `epsilon is ${epsilon}`,
  affine: ({ channels }) => broken(() => checkChannelCount(channels, 'channels')),
  activation: fine,
  prelu: ({ channels }) => broken(() => checkChannelCount(channels, 'channels')),
  binary: fine,
  constant: ({ shape }) => broken(() => checkShape(shape, 'the constant')),
  softmax: fine,
  'max-pool': windowRule,
  'average-pool': windowRule,
  reduce: ({ axes }) => (new Set(axes).size === axes.length ? null : `axes [${axes.join(', ')}] repeat`),
  concat: fine,
  slice: ({ starts, sizes, steps }) =>
    [starts, sizes, steps].every((values) => values.every(Number.isInteger))
      ? null
      : 'starts, sizes and steps are integers',
  pad: ({ before, after }) =>
    [...before, ...after].every(isSize) ? null : 'before and after are non-negative integers',
  resize: ({ size }) => (size.every(isCount) ? null : `size is [${size.join(', ')}]: both are positive integers`),
  transpose: ({ permutation }) =>
    [...permutation].sort((left, right) => left - right).every((axis, index) => axis === index)
      ? null
      : `[${permutation.join(', ')}] is no permutation of axes`,
  reshape: ({ shape }) => broken(() => checkShape(shape, 'the result')),
  take: ({ indices }) => (indices.every(isSize) ? null : 'indices are non-negative integers'),
  identity: fine,
  dropout: fine,
};

const slotRule: NodeRule = (node) => {
  const slots = slotsOf(node);
  const known = new Set(slots.map(({ name }) => name));
  const filled = new Set(filledSlots(node).map(([name]) => name));
  const missing = slots.find(({ name, isOptional }) => !isOptional && !filled.has(name));
  if (missing !== undefined) return `the slot '${missing.name}' is empty`;
  const unknown = [...filled].find((name) => !known.has(name));
  return unknown === undefined ? null : `the slot '${unknown}' is filled, but a node like this has none`;
};

const literalRule: NodeRule = (node) => {
  const demanded = new Map(slotsOf(node).map(({ name, shape }) => [name, shape]));
  for (const [name, weight] of filledSlots(node)) {
    if (weight.kind !== 'literal' && weight.kind !== 'fill') continue;
    const shape = demanded.get(name)!;
    if (!sameShape(weight.shape, shape))
      return `the slot '${name}' has shape ${formatShape(weight.shape)}, the node needs ${formatShape(shape)}`;
    if (weight.kind === 'literal' && weight.values.length !== elementCount(shape))
      return `the slot '${name}' has ${weight.values.length} values, its shape is ${formatShape(shape)}`;
  }
  return null;
};

const nodeRules: readonly NodeRule[] = [
  (node) => (attributeRules[node.op] as (attrs: Node['attrs']) => string | null)(node.attrs),
  slotRule,
  literalRule,
];

/** What is wrong with the name of an input or output, or null. Runtimes take names as C strings, which a NUL ends. */
function borderNameRule(what: 'input' | 'output', name: string, taken: ReadonlySet<string>): string | null {
  if (name === '') return `an ${what} has no name`;
  if (name.includes('\0')) return `the name of an ${what} holds a NUL: ${JSON.stringify(name)}`;
  return taken.has(name) ? `two ${what}s are named '${name}'` : null;
}

/** Names, order and ends of the graph as a whole: what is wrong, or null. */
function structureRule(graph: Graph): string | null {
  if (graph.formatVersion !== '1.0') return `format version '${String(graph.formatVersion)}' is not '1.0'`;
  if (graph.inputs.length === 0) return 'the graph has no input';
  if (graph.outputs.length === 0) return 'the graph has no output';
  const values = new Set<string>();
  for (const { name, shape } of graph.inputs) {
    const wrong = borderNameRule('input', name, values);
    if (wrong !== null) return wrong;
    if (shape.length === 0 || !shape.every(isCount)) return `input '${name}' has shape ${formatShape(shape)}`;
    values.add(name);
  }
  for (const node of graph.nodes) {
    if (node.id === '') return 'a node has no id';
    const unknown = node.inputs.find((value) => !values.has(value));
    if (unknown !== undefined) return `node '${node.id}': it reads '${unknown}', which no earlier node computes`;
    if (values.has(node.id)) return `node '${node.id}': its id is taken`;
    values.add(node.id);
  }
  const names = new Set<string>();
  for (const { name, value } of graph.outputs) {
    const wrong = borderNameRule('output', name, names);
    if (wrong !== null) return wrong;
    if (!values.has(value)) return `output '${name}' is '${value}', which no node computes`;
    names.add(name);
  }
  return null;
}

function firstBrokenRule(graph: Graph, stage: Stage | null): string | null {
  const structure = structureRule(graph);
  if (structure !== null) return structure;
  const allowed = new Set(stage?.connectivity ?? anyConnectivity);
  const stageRules: NodeRule[] = [
    (node) =>
      node.op === 'conv2d' && !allowed.has(node.attrs.connectivity.kind)
        ? `its connectivity is still ${node.attrs.connectivity.kind}`
        : null,
    ...(stage?.rules ?? []),
  ];
  for (const node of graph.nodes)
    for (const rule of [...nodeRules, ...stageRules]) {
      const message = rule(node, graph);
      if (message !== null) return `node '${node.id}': ${message}`;
    }
  return broken(() => inferShapes(graph));
}

/**
 * Checks that a graph is well formed: names, topological order, attributes, weight slots, shapes; and what its stage demands.
 * @param stage - given inside the compiler, where a broken rule is a bug of the pass that just ran; absent for graphs from outside.
 * @throws {InvalidInputError} naming the node and the rule, without a stage.
 * @throws {Error} `internal: after '<pass>', node '<id>': <rule>`, with one.
 */
export function verifyGraph(graph: Graph, stage?: Stage): void {
  const message = firstBrokenRule(graph, stage ?? null);
  if (message === null) return;
  if (stage === undefined) throw new InvalidInputError(message);
  throw new Error(`internal: after '${stage.after}', ${message}`);
}
