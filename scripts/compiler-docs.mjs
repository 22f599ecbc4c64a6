// Writes docs/compiler.md from the compiler's own dumps of a small network; `--check` fails if the file is not what it would write.
import { readFileSync, writeFileSync } from 'node:fs';
import { compile } from '../packages/compiler/build/src/index.js';
import {
  GraphBuilder,
  initialWeights,
  kroneckerMask,
  learnGroups,
  literalWeight,
  mapSource,
  Mask,
  printGraph,
  zooGraph,
} from '../packages/dgconv-core/build/src/index.js';

/** What each pass is for, in the words of somebody who knows the paper. A pass without a word here stops the generator. */
const purposes = {
  'harden-gates':
    'The gates are read once and for all: `U = U₁ ⊗ … ⊗ U_K` becomes a *grouping* in closed form, and the kernel a view of the connected pairs of the dense one. No trainable gate is left after this pass. This is where U goes.',
  'remove-identities': 'Identities, dropout and channel moves that cancel go away.',
  'fold-constants': 'What depends on constants only is computed.',
  'fold-batch-norm':
    "Batch norm's scale goes into the rows of the kernel before it, its shift into the bias. Both stay expressions over the stored tensors; no float is touched yet.",
  'cancel-transposes':
    'Importers of NCHW formats translate literally; here the transposes between them meet and vanish.',
  'recognise-groups':
    'Masks that somebody brought become groupings: equal, unequal, shared inputs, shared outputs, or none of these.',
  'fold-affine-forward':
    'What could not go into the layer before goes into the columns of the layer after, unless zero padding lies between.',
  'remove-dead-channels':
    'Inputs that no output is connected to go, and whatever computes them; an output without inputs is a constant, which moves into the biases of its readers where zero padding allows it. `macsAfter` counts after this pass.',
  'fuse-affine-before':
    'Batch norm and ReLU *before* a convolution (CondenseNet) become part of how it reads its input.',
  'choose-forms':
    'For ONNX and TFLite: a group that is too small to pay is merged with its neighbours, by a table of costs for the target. A dense form makes no demand on channel orders.',
  'assign-channel-orders':
    "The heart. Groups that are not runs of channels are made so by renumbering channels, and the renumbering is pushed into the neighbours' weights, where it costs nothing: the producer's rows and the consumer's columns.",
  'separate-shuffles':
    'What the orders could not bring together is moved explicitly, by a `take` that the report explains.',
  'lower-groups': 'Groupings that a format has no word for become several convolutions, slices and a concatenation.',
  fuse: 'Activation, residual addition and padding become part of the convolution.',
};

function exampleNetwork() {
  const builder = new GraphBuilder({ name: 'bottleneck' });
  const input = builder.input('input', [1, 6, 6, 16]);
  const unit = (id, value, options) => builder.batchNorm(`${id}.bn`, builder.conv(id, value, options));
  let value = builder.relu('relu1', unit('conv1', input, { channelsOut: 8, kernelSize: 1 }));
  value = builder.relu('relu2', unit('conv2', value, { channelsOut: 8, kernelSize: 3 }));
  value = unit('conv3', value, { channelsOut: 16, kernelSize: 1 });
  value = builder.relu('relu3', builder.add('add', value, input));
  return learnGroups(builder.build([{ name: 'output', value }]), {
    rule: 'dgconv',
    select: ({ id }) => id === 'conv2',
    weights: 'new',
  });
}

const pointwise = (channelsOut, groups = 1) => ({ channelsOut, kernelSize: 1, groups });
const node = (id, op, inputs, attrs = {}, weights = {}) => ({ id, op, inputs, attrs, weights, origin: [id] });

/** Networks for the passes that the bottleneck gives nothing to do, each with a word about it. */
const others = [
  [
    'a pruned layer that brings a mask: channels 0, 1 and 2, 3 among themselves, input 4 and input 5 unused, dropout after it',
    () => {
      const builder = new GraphBuilder({ name: 'pruned' });
      const first = builder.relu('relu', builder.conv('first', builder.input('input', [1, 8, 8, 3]), pointwise(6)));
      const scaled = builder.batchNorm('bn', builder.maxPool('pool', first, { kernelSize: 2, stride: 2 }));
      const second = builder.dropout('dropout', builder.conv('second', scaled, pointwise(4)), 0.5);
      const graph = builder.build([{ name: 'output', value: builder.relu('last', second) }]);
      const mask = Mask.fromFunction(4, 6, (output, input) => input < 4 && output >> 1 === input >> 1);
      const connectivity = { kind: 'masked', channelsOut: 4, channelsIn: 6, mask };
      const nodes = graph.nodes.map((each) =>
        each.id === 'second' ? { ...each, attrs: { ...each.attrs, connectivity } } : each,
      );
      return { ...graph, nodes };
    },
  ],
  [
    'the end of a detector from an NCHW format: a constant that is computed, and transposes around a reshape',
    () => {
      const builder = new GraphBuilder({ name: 'head' });
      const value = builder.conv('conv', builder.input('input', [1, 4, 4, 3]), pointwise(6));
      const graph = builder.build([{ name: 'boxes', value }]);
      const pair = (values) => ({ value: literalWeight([1, 1, 2], values) });
      const identity = { activation: { function: 'identity' } };
      const nodes = [
        node('nchw', 'transpose', [value], { permutation: [0, 3, 1, 2] }),
        node('cells', 'reshape', ['nchw'], { shape: [1, 3, 2, 16] }),
        node('pairs', 'transpose', ['cells'], { permutation: [0, 3, 1, 2] }),
        node('rows', 'reshape', ['pairs'], { shape: [1, 48, 2] }),
        node('size', 'constant', [], { shape: [1, 1, 2] }, pair([8, 8])),
        node('ratio', 'constant', [], { shape: [1, 1, 2] }, pair([0.5, 2])),
        node('scale', 'binary', ['size', 'ratio'], { function: 'multiply', ...identity }),
        node('boxes', 'binary', ['rows', 'scale'], { function: 'multiply', ...identity }),
      ];
      return { ...graph, nodes: [...graph.nodes, ...nodes], outputs: [{ name: 'boxes', value: 'boxes' }] };
    },
  ],
  [
    'batch norm behind a pooling',
    () => {
      const builder = new GraphBuilder({ name: 'pooled' });
      const pooled = builder.maxPool('pool', builder.input('input', [1, 8, 8, 4]), { kernelSize: 2, stride: 2 });
      return builder.build([
        { name: 'output', value: builder.conv('conv', builder.batchNorm('norm', pooled), pointwise(4)) },
      ]);
    },
  ],
  [
    'batch norm and ReLU before a convolution, as CondenseNet and DenseNet have them',
    () => {
      const builder = new GraphBuilder({ name: 'preactivated' });
      const first = builder.maxPool('pool', builder.input('input', [1, 8, 8, 4]), { kernelSize: 2, stride: 2 });
      const value = builder.conv('conv', builder.relu('relu', builder.batchNorm('norm', first)), {
        channelsOut: 4,
        kernelSize: 3,
      });
      return builder.build([{ name: 'output', value }]);
    },
  ],
  [
    'groups of eight channels, which ONNX Runtime computes more slowly on x64 than groups of sixteen with zeros',
    () => {
      const builder = new GraphBuilder({ name: 'small-groups' });
      const input = builder.conv('first', builder.input('input', [1, 28, 28, 3]), pointwise(64));
      const value = builder.conv('conv', input, { channelsOut: 64, kernelSize: 3, groups: 8 });
      return builder.build([{ name: 'output', value }]);
    },
  ],
  [
    'half a unit of ShuffleNet: the groups on both sides of the shuffle cut across each other, so that it has to stay',
    () => {
      const builder = new GraphBuilder({ name: 'shuffle' });
      const input = builder.conv('first', builder.input('input', [1, 28, 28, 3]), pointwise(96));
      const before = builder.relu('relu', builder.conv('compress', input, pointwise(96, 2)));
      const shuffled = builder.channelShuffle('shuffle', before, 48);
      const depthwise = builder.conv('depthwise', shuffled, { channelsOut: 96, kernelSize: 3, groups: 96 });
      const last = builder.conv('expand', depthwise, pointwise(96, 2));
      return builder.build([{ name: 'output', value: builder.conv('last', last, pointwise(4)) }]);
    },
  ],
  [
    'groups of unequal size: 32 channels and 64 (FLGC)',
    () => {
      const builder = new GraphBuilder({ name: 'unequal' });
      const first = builder.conv('first', builder.input('input', [1, 56, 56, 3]), pointwise(96));
      const value = builder.conv('conv', first, { channelsOut: 96, kernelSize: 3 });
      const graph = builder.build([{ name: 'output', value }]);
      const mask = Mask.fromFunction(96, 96, (output, input) => output < 32 === input < 32);
      const connectivity = { kind: 'masked', channelsOut: 96, channelsIn: 96, mask };
      const nodes = graph.nodes.map((each) =>
        each.id === 'conv' ? { ...each, attrs: { ...each.attrs, connectivity } } : each,
      );
      return { ...graph, nodes };
    },
  ],
];

/** Every step of a compilation for ONNX on x64. */
function stepsOf(graph, tensors) {
  const steps = [];
  const observe = (_, step) => steps.push(step);
  compile({ graph, weights: mapSource(tensors) }, { formats: ['onnx'], target: 'x64', observe });
  return steps;
}

/** The lines that differ, as a diff: the longest common subsequence stays out, each change keeps the line that names its node. */
function difference(before, after) {
  const [a, b] = [before.split('\n'), after.split('\n')];
  const lengths = Array.from({ length: a.length + 1 }, () => new Int32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  const lines = [];
  let [i, j, owner, shown] = [0, 0, '', ''];
  const change = (sign, line) => {
    if (line.startsWith('    ') && owner !== '' && shown !== owner) {
      lines.push(` ${owner}`);
      shown = owner;
    }
    lines.push(`${sign}${line}`);
  };
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      if (!a[i].startsWith('    ')) owner = a[i];
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && lengths[i + 1][j] >= lengths[i][j + 1])) {
      if (!a[i].startsWith('    ')) owner = '';
      change('-', a[i++]);
    } else {
      if (!b[j].startsWith('    ')) owner = '';
      change('+', b[j++]);
    }
  }
  return lines.join('\n');
}

const graph = exampleNetwork();
const tensors = initialWeights(graph, 3);
const gates = [1, -1, 1];
for (const [name, { values }] of tensors) if (name.endsWith('gate')) values.set(gates);

const steps = stepsOf(graph, tensors);
const otherSteps = others.map(([what, make]) => {
  const other = make();
  return { what, steps: stepsOf(other, initialWeights(other, 3)) };
});

const mask = kroneckerMask(gates, 8, 8);
const maskText = Array.from({ length: 8 }, (_, o) =>
  Array.from({ length: 8 }, (_, i) => (mask.get(o, i) === 1 ? '■' : '·')).join(' '),
).join('\n');

const sections = steps.map(({ name, before, after }, index) => {
  const purpose = purposes[name];
  if (purpose === undefined)
    throw new Error(`docs: the pass '${name}' has no description in scripts/compiler-docs.mjs`);
  const changesOf = (step) => difference(printGraph(step.before), printGraph(step.after));
  const changes = changesOf({ before, after });
  const block = (diff) => `\`\`\`diff\n${diff}\n\`\`\``;
  const elsewhere = otherSteps.flatMap(({ what, steps: each }) =>
    each
      .filter((step) => step.name === name && changesOf(step) !== '')
      .map((step) => ({ what, diff: changesOf(step) })),
  );
  const shownBefore = steps.slice(0, index).some((step) => step.name === name);
  const text =
    changes !== ''
      ? block(changes)
      : shownBefore || elsewhere.length === 0
        ? 'Nothing to do in this network.'
        : `Nothing to do in this network. In another one (${elsewhere[0].what}):\n\n${block(elsewhere[0].diff)}`;
  return `### ${index + 1}. \`${name}\`\n\n${purpose}\n\n${text}`;
});

/** Networks of the zoo whose groups cannot all be put side by side, compiled with random weights. */
const formats = ['edge', 'onnx', 'tflite'];
const shuffleRows = ['shufflenet_g3', 'igcv1', 'mobilenet_v2_flgc', 'g_resnet_mnist'].map((name) => {
  const network = zooGraph(name);
  const moved = network.nodes.filter(({ op }) => op === 'take').length;
  const { shuffles } = compile({ graph: network, weights: mapSource(initialWeights(network, 3)) }, { formats });
  return `| \`${name}\` | ${moved} | ${formats.map((format) => shuffles[format].length).join(' | ')} |`;
});

const text = `# The compiler, pass by pass

This page is written by \`node scripts/compiler-docs.mjs\` from the dumps of a real compilation (\`dgconv compile … --dump-passes-to DIR\` writes the
same for your network). The order of the passes, with a reason for each place, is in \`packages/compiler/src/passes/pipeline.ts\`; the structural verifier
runs after every one.

The example is one bottleneck whose 3×3 convolution learned the gates [on, off, on] on 8 channels, so that

\`\`\`
U = J ⊗ I ⊗ J =

${maskText}
\`\`\`

where J is the 2×2 matrix of ones and I the identity: two groups, {0, 1, 4, 5} and {2, 3, 6, 7}. As trained, it computes \`conv(x, W ⊙ U)\` densely:

\`\`\`
${printGraph(graph).trimEnd()}
\`\`\`

## What each pass does to it

${sections.join('\n\n')}

## What is written

\`\`\`
${printGraph(steps.at(-1).after).trimEnd()}
\`\`\`

The 3×3 convolution is an ordinary grouped one. Its permutation is in the rows of \`conv1\` and the columns of \`conv3\`; nothing is moved at run time.

## Which shuffles have to stay

Values that an op ties channel by channel share their *segments*: runs of channels that are stored in one order wherever they occur. Activations, pooling, depthwise
convolutions and shuffles pass a segment on; an addition unites the segments of its operands; a concatenation has those of its inputs, one after the other; a slice cuts
segments at its borders. Each grouped convolution asks for its groups to be runs of channels, in one order of groups on both sides. A demand is granted where the order
within the segments that is decided already allows it, in several sequences of the demands, and the choice that leaves the fewest values to move is applied. A move is
there because of two convolutions; one whose groups save less than such moves cost (see below) becomes dense and demands nothing, and the orders are chosen again.

What cannot be granted is a pair of grouped convolutions with nothing but such ops between them, each group of one holding channels of several groups of the other: no order
makes both runs. One move for each such pair is the least there can be.

| network | shuffles it comes with | left in edge | onnx | tflite |
|---|---|---|---|---|
${shuffleRows.join('\n')}

- **ShuffleNet**: in a unit the 1×1 before the depthwise and the one after it both have 3 groups, and the shuffle is there to make them cut across each other: one move a
  unit. The first unit of the network has a dense 1×1, which takes the order; everything else (the residuals, the concatenations between the stages) is in order as it is.
- **IGCV1**: the 3×3 has many narrow groups, the 1×1 few wide ones with one channel of each, so both sides of every 1×1 need a move. After the last one comes the classifier,
  which takes any order. Where the groups of a 1×1 save less than its moves cost (TFLite), it is dense, and both moves are gone.
- **MobileNetV2 with FLGC**: the inputs of the learned projections are free, but projections of one stage add up, and each has groups of its own: all but one of a stage
  move their outputs, or are dense.
- **CondenseNet**: the inputs of a learned convolution are gathered in any case, because its groups share them: one index layer for each that is not faster dense. Where its
  outputs feed a grouped 3×3, that takes another move, or one of the two is dense.
- TFLite has fewer because a gather leaves XNNPACK and costs more: groups are given up earlier.

A \`.edge\` convolution could read its inputs through an index list instead. Measured, the kernels that read runs of channels are faster even with the moves before them,
by 8 % (IGCV1) to 30 % (MobileNetV2 with FLGC), so only inputs that groups share are read so. \`compile\` prints why each shuffle stays, and \`NAME.compile.json\` holds all of it.

## Which transposes have to stay

Values are channels last inside. In a \`.edge\` or TFLite file they stay so; the ONNX emitter leaves a value of rank 4 in the order in which it came out of its op (NCHW from a
convolution, channels last from a reshape or a matrix product), and everything elementwise, slices, concatenations, reductions and softmax take it as it is. So a transposition
is written only between ops that need different orders. ONNX files of timm and torchvision, transposes read and written:

| network | read | written |
|---|---|---|
| ViT-Tiny | 37 | 37 |
| Swin-Tiny | 79 | 62 |
| LeViT-128s | 48 | 45 |
| MobileViT-XXS | 39 | 31 |
| ConvNeXt-Tiny | 46 | 36 |
| ConvNeXtV2-Atto | 34 | 0 |
| ShuffleNetV2 | 16 | 0 |
| EfficientViT-B0 | 16 | 22 |
| a YOLOv8 head | 2 | 4 |

- Between a convolution's pixels and tokens there is one each way; so it is in the files.
- Attention brings its heads apart and together again, and transposes K: ONNX's \`MatMul\` has no flag for it, and its operands have rank 4.
- Where a file keeps tokens as [N, C, P] (the last two), ours are [N, P, C], as matrix products and our convolutions have them: one where the file merely reshapes a
  convolution's output, and one back. With another order for values of rank 3 they could go; they are small there.

## What the forms cost

\`packages/compiler/src/passes/form-cost-tables.ts\` has one table for each runtime and machine: the time of a multiply-add by channels a group, for 1×1 kernels and for wider
ones, and what moving a value, copying one and starting an operation cost. x64 and WebAssembly were measured by \`node scripts/measure-forms.mjs RUNTIME\`, which measures them
again on your machine; arm64 is instructions counted under qemu, and has no milliseconds. \`--target generic\` is x64 for ONNX, where ONNX Runtime is mostly
run and small groups cost it most, and the geometric mean of the three for the others. From the tables the compiler
decides whether small groups are merged, unequal ones become several convolutions, shared inputs are gathered, and moves are worth their groups, and it predicts the time
that \`compile\` prints beside the multiply-adds. A \`.edge\` file is the same for every target; its runtime chooses again when it loads.
`;

const target = new URL('../docs/compiler.md', import.meta.url);
if (process.argv.includes('--check')) {
  let current = '';
  try {
    current = readFileSync(target, 'utf8');
  } catch {
    // A missing file is a stale one.
  }
  if (current !== text) {
    console.error('docs/compiler.md is not what the compiler does now: run node scripts/compiler-docs.mjs');
    process.exit(1);
  }
  console.log('docs/compiler.md is current');
} else {
  writeFileSync(target, text);
}
