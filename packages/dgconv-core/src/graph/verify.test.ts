import test from 'ava';
import { InvalidInputError } from '../errors.js';
import type { Grouping } from '../grouping/grouping.js';
import { Mask } from '../grouping/mask.js';
import { randomModel } from '../testing/random-model.js';
import { type NodeFields, singleNodeModel } from '../testing/single-node.js';
import type { Connectivity } from './connectivity.js';
import type { Graph } from './graph.js';
import { groupedConnectivity, hardConnectivity, verifyGraph } from './verify.js';
import { fillWeight, literalWeight, storedWeight } from './weight-constructors.js';
import { squareWindow } from './window.js';

const conv = (connectivity: Connectivity, fields: Partial<NodeFields> = {}): Graph =>
  singleNodeModel([[1, 4, 4, connectivity.channelsIn]], {
    op: 'conv2d',
    attrs: {
      ...squareWindow(1),
      connectivity,
      pre: 'none',
      activation: { function: 'identity' },
    },
    weights: { kernel: storedWeight('w') },
    ...fields,
  } as NodeFields).graph;
const dense: Grouping = { kind: 'dense', channelsOut: 4, channelsIn: 2, groups: 1 };

test('a broken rule is told with the node', (t) => {
  const refused = (graph: Graph, message: string): void => {
    t.throws(() => verifyGraph(graph), { instanceOf: InvalidInputError, message });
  };
  const graph = conv(dense);
  t.notThrows(() => verifyGraph(graph));
  const [node] = graph.nodes;
  refused({ ...graph, inputs: [] }, 'the graph has no input');
  refused({ ...graph, outputs: [] }, 'the graph has no output');
  refused({ ...graph, nodes: [node!, node!] }, "node 'node': its id is taken");
  refused({ ...graph, nodes: [{ ...node!, id: 'a' }] }, "node 'a': its id is taken");
  refused(
    { ...graph, nodes: [{ ...node!, inputs: ['node'] }] },
    "node 'node': it reads 'node', which no earlier node computes",
  );
  refused({ ...graph, outputs: [{ name: 'y', value: 'z' }] }, "output 'y' is 'z', which no node computes");
  refused({ ...graph, outputs: [{ name: '', value: 'node' }] }, 'an output has no name');
  const twice = { name: 'y', value: 'node' };
  refused({ ...graph, outputs: [twice, twice] }, "two outputs are named 'y'");
  refused({ ...graph, inputs: [...graph.inputs, ...graph.inputs] }, "two inputs are named 'a'");
  refused(
    { ...graph, outputs: [{ name: 'y\0', value: 'node' }] },
    String.raw`the name of an output holds a NUL: "y\u0000"`,
  );
  refused({ ...graph, inputs: [{ name: 'a', shape: [1, 0, 4, 2] }] }, "input 'a' has shape [1, 0, 4, 2]");
  refused(
    { ...graph, inputs: [{ name: 'a', shape: [1, 4, 4, 3] }] },
    "node 'node' (conv2d): the input has shape [1, 4, 4, 3], the node needs 2 channels",
  );
  refused(conv(dense, { weights: {} } as never), "node 'node': the slot 'kernel' is empty");
  refused(
    conv(dense, { weights: { kernel: storedWeight('w'), gates: storedWeight('g') } }),
    "node 'node': the slot 'gates' is filled, but a node like this has none",
  );
  refused(
    conv(dense, { weights: { kernel: storedWeight('w'), bias: fillWeight([3], 0) } }),
    "node 'node': the slot 'bias' has shape [3], the node needs [4]",
  );
  refused(
    conv(dense, { weights: { kernel: storedWeight('w'), bias: literalWeight([4], [1]) } }),
    "node 'node': the slot 'bias' has 1 values, its shape is [4]",
  );
});

test('connectivity that is not what it says is refused', (t) => {
  const refused = (connectivity: Connectivity, message: string): void => {
    t.throws(() => verifyGraph(conv(connectivity)), {
      instanceOf: InvalidInputError,
      message: `node 'node': ${message}`,
    });
  };
  const counts = { channelsOut: 4, channelsIn: 2 };
  refused({ ...dense, channelsOut: 0 }, 'channelsOut is 0: it is an integer from 1 to 1048576');
  refused(
    { kind: 'equal', ...counts, groups: 3, outputOrder: [0, 1, 2, 3], inputOrder: [0, 1] },
    '3 groups do not divide 2 → 4 channels',
  );
  refused(
    { kind: 'equal', ...counts, groups: 2, outputOrder: [0, 1, 2, 2], inputOrder: [0, 1] },
    'outputOrder has 2 twice',
  );
  refused(
    { kind: 'equal', ...counts, groups: 2, outputOrder: [1, 0, 2, 3], inputOrder: [0, 1] },
    "a grouping of kind 'equal' with 2 groups is not in canonical form: its mask is 'equal' with 2",
  );
  refused(
    { kind: 'unequal', ...counts, groups: 1, blocks: [{ outputs: [0, 1, 2, 3], inputs: [0, 1] }] },
    "a grouping of kind 'unequal' with 1 groups is not in canonical form: its mask is 'dense' with 1",
  );
  refused(
    { kind: 'unequal', ...counts, groups: 1, blocks: [{ outputs: [4], inputs: [0] }] },
    'a block names 4 among its outputs: they are 0 to 3',
  );
  refused({ kind: 'masked', ...counts, mask: Mask.ones(2, 4) }, 'a mask [2, 4] does not fit 2 → 4 channels');
  refused(
    { kind: 'learned', rule: 'condense', ...counts, groups: 4, condenseFactor: 1 },
    '4 groups do not divide 2 → 4 channels',
  );
});

test('places and sizes that are no integers are refused', (t) => {
  const sizes = [1, 2, 2];
  const refused = (fields: NodeFields, message: string): void => {
    t.throws(() => verifyGraph(singleNodeModel([[1, 4, 4]], fields).graph), {
      instanceOf: InvalidInputError,
      message: `node 'node': ${message}`,
    });
  };
  for (const starts of [
    [0, 0, 1e-45],
    [0, NaN, 0],
  ])
    refused({ op: 'slice', attrs: { starts, sizes, steps: [1, 1, 1] } }, 'starts, sizes and steps are integers');
  for (const before of [
    [0, 0.5, 0],
    [0, -1, 0],
    [0, 0, NaN],
  ])
    refused(
      { op: 'pad', attrs: { before, after: [0, 0, 0], mode: 'constant', value: 0 } },
      'before and after are non-negative integers',
    );
});

test('a stage forbids what must be gone by then, and blames the pass', (t) => {
  const learned = conv(
    { kind: 'learned', rule: 'dgconv', channelsOut: 4, channelsIn: 2 },
    { weights: { kernel: storedWeight('w'), gates: storedWeight('g') } },
  );
  t.notThrows(() => verifyGraph(learned, { after: 'import' }));
  t.throws(() => verifyGraph(learned, { after: 'harden-gates', connectivity: hardConnectivity }), {
    message: "internal: after 'harden-gates', node 'node': its connectivity is still learned",
  });
  const masked = conv({ kind: 'masked', channelsOut: 4, channelsIn: 2, mask: Mask.ones(4, 2) });
  t.notThrows(() => verifyGraph(masked, { after: 'harden-gates', connectivity: hardConnectivity }));
  t.throws(() => verifyGraph(masked, { after: 'recognise-groups', connectivity: groupedConnectivity }), {
    message: "internal: after 'recognise-groups', node 'node': its connectivity is still masked",
  });
  t.throws(() => verifyGraph(masked, { after: 'emit', rules: [(node) => `a ${node.op} is illegal here`] }), {
    message: "internal: after 'emit', node 'node': a conv2d is illegal here",
  });
});

test('a graph whose nodes are not in topological order is refused', (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const { graph } = randomModel(seed, { size: 6 });
    const reversed = { ...graph, nodes: [...graph.nodes].reverse() };
    const isChained = graph.nodes.some(({ inputs }) => inputs.some((value) => value !== 'x'));
    if (isChained) t.throws(() => verifyGraph(reversed), { message: /which no earlier node computes$/ });
    else t.notThrows(() => verifyGraph(reversed));
  }
});
