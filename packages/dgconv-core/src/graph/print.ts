import type { Connectivity } from './connectivity.js';
import type { Graph, Node, NodeOf } from './graph.js';
import type { Activation, OpKind, Window } from './ops.js';
import { formatShape } from './shape.js';
import { filledSlots } from './slots.js';
import { inferShapes } from './types.js';
import type { Weight } from './weights.js';

const list = (values: readonly number[], most = 8): string =>
  values.length <= most ? `[${values.join(' ')}]` : `[${values.slice(0, most).join(' ')} … ${values.length}]`;

/** A connectivity in a few words: `64 → 64, equal, 8 groups`. */
export function printConnectivity(connectivity: Connectivity): string {
  const channels = `${connectivity.channelsIn} → ${connectivity.channelsOut}`;
  switch (connectivity.kind) {
    case 'dense':
      return `${channels}, dense`;
    case 'equal':
      return `${channels}, equal, ${connectivity.groups} groups, in ${list(connectivity.inputOrder)}, out ${list(connectivity.outputOrder)}`;
    case 'unequal':
    case 'shared-inputs':
    case 'shared-outputs':
      return `${channels}, ${connectivity.kind}, ${connectivity.groups} groups`;
    case 'unstructured':
    case 'masked':
      return `${channels}, ${connectivity.kind}, ${connectivity.mask.nonZeros} ones`;
    case 'learned':
      return `${channels}, learned by ${connectivity.rule}`;
  }
}

/** A weight expression as nested calls: `take(layer1.conv.weight, 0, [1 0])`. */
export function printWeight(weight: Weight): string {
  switch (weight.kind) {
    case 'stored':
      return weight.name;
    case 'literal':
      return `literal(${formatShape(weight.shape)}, ${list(weight.values)})`;
    case 'fill':
      return `fill(${formatShape(weight.shape)}, ${weight.value})`;
    case 'reshape':
      return `reshape(${printWeight(weight.of)}, ${formatShape(weight.shape)})`;
    case 'transpose':
      return `transpose(${printWeight(weight.of)}, ${list(weight.permutation)})`;
    case 'take':
      return `take(${printWeight(weight.of)}, ${weight.axis}, ${list(weight.indices)})`;
    case 'scale':
      return `scale(${printWeight(weight.of)}, ${weight.axis}, ${printWeight(weight.by)})`;
    case 'compact':
    case 'expand':
      return `${weight.kind}(${printWeight(weight.of)}, ${weight.grouping.kind} ${weight.grouping.groups})`;
    case 'reorder':
      return `reorder(${printWeight(weight.of)}, out ${list(weight.outputOrder)}, in ${list(weight.inputOrder)})`;
    case 'scale-outputs':
      return `scale-outputs(${printWeight(weight.of)}, ${printWeight(weight.by)})`;
    case 'add':
    case 'subtract':
    case 'multiply':
      return `${weight.kind}(${printWeight(weight.left)}, ${printWeight(weight.right)})`;
    case 'inverse-root':
      return `inverse-root(${printWeight(weight.of)}, ${weight.epsilon})`;
    case 'contract-inputs':
      return `contract-inputs(${printWeight(weight.of)}, ${printWeight(weight.by)})`;
  }
}

function printActivation(activation: Activation): string[] {
  if (activation.function === 'identity') return [];
  const parameters = [
    ...('alpha' in activation ? [activation.alpha] : []),
    ...('beta' in activation ? [activation.beta] : []),
  ];
  return [parameters.length === 0 ? activation.function : `${activation.function}(${parameters.join(', ')})`];
}

function printWindow({ kernelSize, strides, dilations, padding }: Window): string[] {
  const { top, bottom, left, right } = padding;
  return [
    `${kernelSize.join('×')} window`,
    ...(strides.some((stride) => stride !== 1) ? [`stride ${strides.join('×')}`] : []),
    ...(dilations.some((dilation) => dilation !== 1) ? [`dilation ${dilations.join('×')}`] : []),
    ...([top, bottom, left, right].some((pixels) => pixels !== 0)
      ? [`padding ${list([top, bottom, left, right])}`]
      : []),
  ];
}

/** The attributes of each op as words. */
const attributes: { readonly [K in OpKind]: (attrs: NodeOf<K>['attrs']) => string[] } = {
  conv2d: (attrs) => [
    printConnectivity(attrs.connectivity),
    ...printWindow(attrs),
    ...(attrs.pre === 'none' ? [] : [attrs.pre]),
    ...printActivation(attrs.activation),
  ],
  'conv2d-transpose': (attrs) => [
    `${attrs.channelsIn} → ${attrs.channelsOut}, ${attrs.groups} groups`,
    ...printWindow(attrs),
    ...(attrs.outputPadding.some(Boolean) ? [`output padding ${list(attrs.outputPadding)}`] : []),
    ...printActivation(attrs.activation),
  ],
  dense: (attrs) => [`${attrs.channelsIn} → ${attrs.channelsOut}`, ...printActivation(attrs.activation)],
  matmul: () => [],
  'batch-norm': ({ epsilon }) => [`epsilon ${epsilon}`],
  affine: () => [],
  activation: ({ activation }) => printActivation(activation),
  prelu: () => [],
  binary: (attrs) => [attrs.function, ...printActivation(attrs.activation)],
  constant: () => [],
  softmax: ({ axis }) => [`axis ${axis}`],
  'max-pool': printWindow,
  'average-pool': (attrs) => [...printWindow(attrs), ...(attrs.countPadding ? ['padding counts'] : [])],
  reduce: (attrs) => [attrs.function, `axes ${list(attrs.axes)}`, ...(attrs.keepDims ? ['keeps them'] : [])],
  concat: ({ axis }) => [`axis ${axis}`],
  slice: (attrs) => [`starts ${list(attrs.starts)}`, `sizes ${list(attrs.sizes)}`, `steps ${list(attrs.steps)}`],
  pad: (attrs) => [
    `before ${list(attrs.before)}`,
    `after ${list(attrs.after)}`,
    attrs.mode === 'constant' ? `value ${attrs.value}` : attrs.mode,
  ],
  resize: (attrs) => [attrs.size.join('×'), attrs.mode, attrs.coordinates, attrs.rounding],
  transpose: ({ permutation }) => [list(permutation)],
  reshape: ({ shape }) => [formatShape(shape)],
  take: ({ axis, indices }) => [`axis ${axis}`, list(indices)],
  identity: () => [],
  dropout: ({ rate }) => [`rate ${rate}`],
};

function printNode(node: Node, shape: string): string {
  const words = (attributes[node.op] as (attrs: Node['attrs']) => string[])(node.attrs).join('; ');
  const slots = filledSlots(node).map(([slot, weight]) => `\n    ${slot} = ${printWeight(weight)}`);
  return `${node.id}: ${shape} = ${node.op}(${node.inputs.join(', ')})${words === '' ? '' : ` {${words}}`}${slots.join('')}`;
}

/** A graph as text, one node a paragraph with the shape of its value; the same graph gives the same text. */
export function printGraph(graph: Graph): string {
  const shapes = inferShapes(graph);
  return [
    `graph ${graph.metadata.name}`,
    ...graph.inputs.map(({ name, shape }) => `input ${name}: ${formatShape(shape)}`),
    ...graph.nodes.map((node) => printNode(node, formatShape(shapes.get(node.id)!))),
    ...graph.outputs.map(({ name, value }) => `output ${name} = ${value}`),
    '',
  ].join('\n');
}
