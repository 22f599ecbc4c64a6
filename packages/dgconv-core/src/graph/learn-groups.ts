import { InvalidInputError, UnsupportedError } from '../errors.js';
import { gatesOfGrouping } from '../grouping/gates-of-grouping.js';
import { RandomSource } from '../random.js';
import type { LearnedConnectivity } from './connectivity.js';
import type { Graph, Node, NodeOf } from './graph.js';
import type { OpKind, WeightsByOp } from './ops.js';
import type { Weight } from './weights.js';

type Conv = NodeOf<'conv2d'>;
type Rule = LearnedConnectivity['rule'];

export interface LearnGroupsOptions {
  readonly rule: Rule;
  /**
   * Which convolutions: ids with `*` for any characters, several after commas, or a predicate. Default: spatial kernels for
   * `dgconv`, 1×1 kernels for the others, except convolutions of the network's input and depthwise ones.
   */
  readonly select?: string | ((conv: Conv) => boolean);
  /** Groups of `flgc` (default 8) and of `condense` (default 4). */
  readonly groups?: number;
  /** `condense`: at the end a group keeps 1/condenseFactor of the inputs; default `groups`. */
  readonly condenseFactor?: number;
  /**
   * `keep`: the graph has weights; grouped kernels are expanded, and the gates start where they reproduce the groups.
   * `new` (the zoo): the weights are still to be made, under the names of the public repositories.
   */
  readonly weights: 'keep' | 'new';
  /** Seed of FLGC's first assignments with `keep`; default 0. */
  readonly seed?: number;
}

/**
 * Makes convolutions learnable: dense or grouped ones become `learned` by the rule (DGConv arXiv:1908.05867, FLGC
 * arXiv:1904.00346, CondenseNet arXiv:1711.09224) with a dense kernel `[C_out, C_in, kh, kw]`. With `weights: 'keep'` and
 * `dgconv` or `condense` the network computes what it did before.
 *
 * ```
 * before: layer1.0.conv2 = conv2d relu1 {equal, 32 groups}  kernel layer1.0.conv2.weight
 * after:  layer1.0.conv2 = conv2d relu1 {learned dgconv}    kernel layer1.0.conv2.conv.weight, gates layer1.0.conv2.gate
 * ```
 * @throws {InvalidInputError} if nothing is selected, or a selected convolution cannot be learned by this rule.
 * @throws {UnsupportedError} if the graph has an operation that cannot be trained.
 */
export function learnGroups(graph: Graph, options: LearnGroupsOptions): Graph {
  for (const node of graph.nodes) {
    const reason = untrainable(node);
    if (reason !== null) throw new UnsupportedError(`'${node.id}' (${node.op}) cannot be trained: ${reason}`);
  }
  const selected = selectConvolutions(graph, options);
  return {
    ...graph,
    nodes: graph.nodes.map((node) => (node.op === 'conv2d' && selected.has(node.id) ? learn(node, options) : node)),
  };
}

/** Ids of the convolutions that `learnGroups` with these options would change. */
function selectConvolutions(graph: Graph, { rule, select }: LearnGroupsOptions): ReadonlySet<string> {
  const convs = graph.nodes.filter((node) => node.op === 'conv2d');
  const inputs = new Set(graph.inputs.map((input) => input.name));
  const chosen =
    typeof select === 'function'
      ? select
      : select !== undefined
        ? matcher(select)
        : (conv: Conv) => !inputs.has(conv.inputs[0]!) && isLearnedByDefault(conv, rule);
  const selected = convs.filter(chosen).map((conv) => conv.id);
  if (selected.length === 0) {
    const examples = convs.slice(0, 4).map((conv) => `'${conv.id}'`);
    throw new InvalidInputError(
      typeof select === 'string'
        ? `'${select}' selects none of the network's ${convs.length} convolutions (${examples.join(', ')}${convs.length > 4 ? ', …' : ''})`
        : `none of the network's ${convs.length} convolutions can learn groups by '${rule}'`,
    );
  }
  return new Set(selected);
}

function matcher(patterns: string): (conv: Conv) => boolean {
  const expressions = patterns.split(',').map((pattern) => {
    const parts = pattern.trim().split('*');
    return new RegExp(`^${parts.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('.*')}$`);
  });
  return (conv) => expressions.some((expression) => expression.test(conv.id));
}

function isLearnedByDefault(conv: Conv, rule: Rule): boolean {
  const { kernelSize, connectivity } = conv.attrs;
  const spatial = kernelSize[0] * kernelSize[1] > 1;
  const depthwise = connectivity.kind === 'equal' && connectivity.groups === connectivity.channelsIn;
  return spatial === (rule === 'dgconv') && !depthwise && connectivity.kind !== 'learned';
}

function learn(conv: Conv, options: LearnGroupsOptions): Conv {
  const { connectivity } = conv.attrs;
  const refuse = (reason: string): never => {
    throw new InvalidInputError(`convolution '${conv.id}' cannot learn groups by '${options.rule}': ${reason}`);
  };
  if (connectivity.kind !== 'dense' && connectivity.kind !== 'equal') {
    return refuse(`it is ${connectivity.kind}, and only dense and equally grouped convolutions can`);
  }
  const { channelsOut, channelsIn } = connectivity;
  const fresh = options.weights === 'new';
  const kernel: Weight = fresh
    ? stored(`${conv.id}.conv.weight`)
    : connectivity.kind === 'dense'
      ? conv.weights.kernel
      : { kind: 'expand', of: conv.weights.kernel, grouping: connectivity };
  const bias =
    conv.weights.bias === undefined ? {} : { bias: fresh ? stored(`${conv.id}.conv.bias`) : conv.weights.bias };
  const become = (learned: LearnedConnectivity, deciding: Partial<WeightsByOp['conv2d']>): Conv => ({
    ...conv,
    attrs: { ...conv.attrs, connectivity: learned },
    weights: { ...conv.weights, ...bias, kernel, ...deciding },
  });
  switch (options.rule) {
    case 'dgconv': {
      const gates = gatesOfGrouping(connectivity);
      if (gates?.length === 0)
        return refuse(`${channelsIn} input and ${channelsOut} output channels have no common factor`);
      if (gates === null && !fresh) {
        return refuse(`no gates reproduce its ${connectivity.groups} groups of ${channelsIn} channels`);
      }
      return become(
        { kind: 'learned', rule: 'dgconv', channelsOut, channelsIn },
        {
          gates: fresh
            ? stored(`${conv.id}.gate`)
            : { kind: 'literal', shape: [gates!.length], values: gates!.map((gate) => (gate === 1 ? 1e-8 : -1e-8)) },
        },
      );
    }
    case 'flgc': {
      const { groups = 8 } = options;
      if (!Number.isInteger(groups) || groups < 1)
        return refuse(`${groups} groups: the number must be a positive integer`);
      if (!fresh && connectivity.groups > 1) return refuse(`it has ${connectivity.groups} groups already`);
      const random = new RandomSource((options.seed ?? 0) ^ hashOf(conv.id));
      const assignment = (channels: number): Weight => ({
        kind: 'literal',
        shape: [channels, groups],
        values: Array.from({ length: channels * groups }, () => Math.fround(random.normal())),
      });
      return become(
        { kind: 'learned', rule: 'flgc', channelsOut, channelsIn, groups },
        fresh
          ? {
              inputAssignment: stored(`${conv.id}.in_channels_in_group_assignment_map`),
              outputAssignment: stored(`${conv.id}.out_channels_in_group_assignment_map`),
            }
          : { inputAssignment: assignment(channelsIn), outputAssignment: assignment(channelsOut) },
      );
    }
    case 'condense': {
      const { groups = 4, condenseFactor = groups } = options;
      const rule =
        'the kernel must be 1×1, dense, and its channels multiples of groups and (the inputs) of the condense factor';
      const [height, width] = conv.attrs.kernelSize;
      if (height * width > 1) return refuse(`its kernel is ${height}×${width}; ${rule}`);
      if (!fresh && connectivity.groups > 1) return refuse(`it has ${connectivity.groups} groups already; ${rule}`);
      if (channelsIn % groups !== 0 || channelsIn % condenseFactor !== 0 || channelsOut % groups !== 0) {
        return refuse(
          `${channelsIn} inputs and ${channelsOut} outputs with ${groups} groups and condense factor ${condenseFactor}; ${rule}`,
        );
      }
      return become(
        { kind: 'learned', rule: 'condense', channelsOut, channelsIn, groups, condenseFactor },
        {
          mask: fresh ? stored(`${conv.id}._mask`) : { kind: 'fill', shape: [channelsOut, channelsIn, 1, 1], value: 1 },
        },
      );
    }
  }
}

const stored = (name: string): Weight => ({ kind: 'stored', name });

/** FNV-1a of a name, so that a layer's first assignment does not depend on the other layers. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193);
  return hash >>> 0;
}

/** Why no gradient can pass through a node, or null. */
const untrainableBecause: { readonly [K in OpKind]: (node: NodeOf<K>) => string | null } = {
  conv2d: ({ attrs: { connectivity } }) =>
    connectivity.kind === 'unstructured' ? 'its kernel keeps only scattered connections' : null,
  'conv2d-transpose': () => null,
  dense: () => null,
  matmul: () => null,
  'batch-norm': () => null,
  affine: () => null,
  activation: ({ attrs: { activation } }) => stepFunction(activation.function),
  prelu: () => null,
  binary: () => null,
  constant: () => null,
  softmax: () => null,
  'max-pool': () => null,
  'average-pool': () => null,
  reduce: () => null,
  concat: () => null,
  slice: () => null,
  pad: () => null,
  resize: () => null,
  transpose: () => null,
  reshape: () => null,
  take: () => null,
  identity: () => null,
  dropout: () => null,
};

function stepFunction(name: string): string | null {
  return name === 'floor' || name === 'ceil' ? `the gradient of ${name} is zero everywhere` : null;
}

function untrainable(node: Node): string | null {
  return (untrainableBecause[node.op] as (node: Node) => string | null)(node);
}
