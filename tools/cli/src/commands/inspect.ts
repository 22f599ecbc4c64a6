import {
  condensedForm,
  costOf,
  isIdentityPermutation,
  UsageError,
  zooGraph,
  type Graph,
  type LayerCost,
  type WeightSource,
} from '@dgconv/core';
import type { EdgePlan } from '@dgconv/runtime-edge';
import type { Command } from 'commander';
import { formatOf } from '../artifacts.js';
import {
  budget,
  withCommonOptions,
  withExamples,
  withSourceOptions,
  zooName,
  type BudgetOption,
  type CommonOptions,
  type SourceOptions,
} from '../options.js';
import { openSource } from '../sources.js';
import { createConsole } from '../terminal/console.js';
import { formatBytes, formatCount, formatTable } from '../terminal/table.js';

interface InspectOptions extends CommonOptions, SourceOptions {
  readonly model?: string;
  readonly budget: BudgetOption;
  readonly plan?: boolean;
}

/** The layers that a budget is about: those whose connections are learned or masked, else those that are grouped by hand. */
const budgetedLayers = (layers: readonly LayerCost[]): readonly LayerCost[] => {
  const learned = layers.filter((layer) => layer.isLearnedOrMasked);
  return learned.length > 0 ? learned : layers.filter((layer) => layer.op === 'conv2d' && layer.groups > 1);
};

/** The limit in the budget's own unit: connections for `b` (Σ C_in·C_out / b), else the number that was given. */
const limitOf = (layers: readonly LayerCost[], { kind, value }: BudgetOption): number =>
  kind === 'b'
    ? budgetedLayers(layers).reduce((sum, { channelsIn, channelsOut }) => sum + (channelsIn * channelsOut) / value, 0)
    : value;

/** Whether the groups of a convolution are not contiguous. */
const isPermuted = (graph: Graph, name: string): boolean => {
  const node = graph.nodes.find(({ id }) => id === name);
  if (node?.op !== 'conv2d' || node.attrs.connectivity.kind !== 'equal') return false;
  const { inputOrder, outputOrder } = node.attrs.connectivity;
  return !isIdentityPermutation(inputOrder) || !isIdentityPermutation(outputOrder);
};

const show = (graph: Graph, weights: WeightSource | undefined, options: InspectOptions): object => {
  const console = createConsole(options);
  const cost = costOf(graph, weights);
  const inputShape = graph.inputs[0]?.shape ?? [];
  const moves = graph.nodes.flatMap((node) =>
    node.op === 'take' ? [{ name: node.id, channels: node.attrs.indices.length }] : [],
  );
  const layers = cost.layers.map(({ name, grouping, groups, channelsIn, channelsOut, macs, params }) => {
    const permuted = isPermuted(graph, name);
    return { name, grouping, groups, channelsIn, channelsOut, macs, params, permuted };
  });
  console.say(`${graph.metadata.name}, input [${inputShape.join(', ')}]`);
  console.say(
    formatTable(
      ['layer', 'grouping', 'groups', 'channels', 'MACs', 'parameters'],
      layers.map((layer) => [
        layer.name,
        layer.permuted ? `${layer.grouping}, permuted` : layer.grouping,
        layer.groups,
        `${layer.channelsIn} → ${layer.channelsOut}`,
        formatCount(layer.macs),
        formatCount(layer.params),
      ]),
    ),
  );
  const limit = limitOf(cost.layers, options.budget);
  console.say(
    `\nMACs ${formatCount(cost.macs)} (convolutions and dense layers), parameters ${formatCount(cost.params)}, ` +
      `weights ${formatBytes(cost.weightBytes)}, ζ ${cost.connections === null ? 'not decided yet' : formatCount(cost.connections)}, ` +
      `budget ${options.budget.kind}=${options.budget.value} → ${formatCount(limit)}, ${moves.length} channel moves`,
  );
  return {
    name: graph.metadata.name,
    inputShape,
    params: cost.params,
    macs: cost.macs,
    weightBytes: cost.weightBytes,
    zeta: cost.connections,
    budget: limit,
    permutations: moves,
    layers,
  };
};

/** What a step does beside what its op says. */
const fusedInto = ({ gathers, pre, adds, activation, inPlace }: EdgePlan['steps'][number]): string =>
  [
    ...(gathers ? ['gathers'] : []),
    ...(pre === undefined ? [] : ['affine and relu on load']),
    ...(adds ? ['add'] : []),
    ...(activation === undefined ? [] : [activation]),
    ...(inPlace ? ['in place'] : []),
  ].join(', ');

/** The steps of a run, one line each. */
const planTable = ({ isa, steps, arenaBytes, packedBytes }: EdgePlan): string => {
  const rows = steps.map((step) => [
    step.node,
    step.op,
    step.kernel,
    fusedInto(step),
    step.outputShape.join('×'),
    formatCount(step.macs),
  ]);
  const memory = `${formatBytes(packedBytes)} of packed weights, ${formatBytes(arenaBytes)} for values`;
  return `${isa}: ${memory}\n${formatTable(['node', 'op', 'kernel', 'with it', 'output', 'MACs'], rows)}`;
};

const inspect = async (file: string | undefined, options: InspectOptions): Promise<void> => {
  const console = createConsole(options);
  if ((file === undefined) === (options.model === undefined))
    throw new UsageError('inspect takes either a FILE or --model NAME');
  if (options.plan && (file === undefined || formatOf(file) !== 'edge'))
    throw new UsageError('--plan shows the kernels of an .edge file');
  let document: object;
  if (file === undefined) {
    const [channels, height, width] = options.inputShape ?? [];
    const size =
      channels === undefined ? {} : { inputChannels: channels, inputSize: [height!, width!] as [number, number] };
    document = show(condensedForm(zooGraph(options.model!, size)), undefined, options);
  } else {
    const { graph, weights } = openSource(file, options);
    document = show(graph, weights, options);
  }
  if (options.plan) {
    const { EdgeSession } = await import('@dgconv/runtime-edge');
    const session = await EdgeSession.load(file!);
    const plan = session.plan();
    session.dispose();
    console.say(`\n${planTable(plan)}`);
    document = { ...document, plan };
  }
  console.result(document);
};

/** `dgconv inspect`: what a network is made of and costs. */
export const addInspectCommand = (program: Command): void => {
  const command = program
    .command('inspect [file]')
    .description('layers, groups, permutations, MACs, parameters and bytes of a file or a network of the zoo')
    .option('--model <name>', 'network of the zoo; its ζ is null where training has yet to decide it', zooName)
    .option('--budget <budget>', 'b=NUMBER: the connections that this budget allows', budget, { kind: 'b', value: 32 })
    .option('--plan', 'the kernels that the runtime picks for an .edge file');
  withSourceOptions(command);
  withCommonOptions(command).action(inspect);
  withExamples(command, [
    'dgconv inspect --model g_resnext50 --budget b=32',
    'dgconv inspect build/demo/demo.edge --plan',
    'dgconv inspect runs/demo --json',
  ]);
};
