// Writes docs/compiler.md from the compiler's own dumps of a small network; `--check` fails if the file is not what it would write.
import { readFileSync, writeFileSync } from 'node:fs';
import { compile } from '../packages/compiler/build/src/index.js';
import {
  GraphBuilder,
  initialWeights,
  kroneckerMask,
  learnGroups,
  mapSource,
  printGraph,
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

const steps = [];
compile({ graph, weights: mapSource(tensors) }, { formats: ['onnx'], observe: (_, step) => steps.push(step) });

const mask = kroneckerMask(gates, 8, 8);
const maskText = Array.from({ length: 8 }, (_, o) =>
  Array.from({ length: 8 }, (_, i) => (mask.get(o, i) === 1 ? '■' : '·')).join(' '),
).join('\n');

const sections = steps.map(({ name, before, after }, index) => {
  const purpose = purposes[name];
  if (purpose === undefined)
    throw new Error(`docs: the pass '${name}' has no description in scripts/compiler-docs.mjs`);
  const changes = difference(printGraph(before), printGraph(after));
  const block = changes === '' ? 'Nothing to do in this network.' : `\`\`\`diff\n${changes}\n\`\`\``;
  return `### ${index + 1}. \`${name}\`\n\n${purpose}\n\n${block}`;
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
