import {
  GraphBuilder,
  initialWeights,
  InvalidInputError,
  literalWeight,
  mapSource,
  type Model,
  type Node,
  UsageError,
} from '@dgconv/core';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { encodeEdge } from './edge-encode.js';
import { EdgeSession } from './session.js';
import { testEngines } from './testing/engines.js';
import { RandomModel } from './testing/random-model.js';

/** y = relu(x) + x on [1, 2, 2, 3], z the mean of y. */
function smallModel(): Model {
  const builder = new GraphBuilder({ name: 'small' });
  const x = builder.input('x', [1, 2, 2, 3]);
  const y = builder.add('y', builder.relu('relu', x), x);
  const graph = builder.build([
    { name: 'y', value: y },
    { name: 'mean', value: builder.globalAveragePool('pool', y) },
  ]);
  return { graph, weights: mapSource(new Map()) };
}

const bytes = encodeEdge(smallModel());
const feed = (batch: number): Float32Array => Float32Array.from({ length: 12 * batch }, (_, index) => index - 5);
const expected = (batch: number): number[] => [...feed(batch)].map((value) => Math.max(value, 0) + value);

for (const engine of testEngines) {
  test(`a session says what it takes and gives on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    t.is(session.engine, engine);
    t.deepEqual(session.inputs, [{ name: 'x', shape: [1, 2, 2, 3], layout: 'NHWC', dtype: 'float32' }]);
    t.deepEqual(
      session.outputs.map(({ name, shape }) => ({ name, shape })),
      [
        { name: 'y', shape: [1, 2, 2, 3] },
        { name: 'mean', shape: [1, 3] },
      ],
    );
    session.dispose();
  });

  test(`batches up to maxBatch run on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine, maxBatch: 3 });
    for (const batch of [3, 1, 2]) t.deepEqual([...session.run({ x: feed(batch) })['y']!], expected(batch));
    t.throws(() => session.run({ x: feed(4) }), { instanceOf: InvalidInputError, message: /48 values.*1 to 3/ });
    t.throws(() => session.run({ x: new Float32Array(0) }), { instanceOf: InvalidInputError });
    t.throws(() => session.run({ x: new Float32Array(13) }), { instanceOf: InvalidInputError });
    session.dispose();
  });

  test(`given output arrays are written to and given back on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    const y = new Float32Array(12);
    const outputs = session.run({ x: feed(1) }, { y });
    t.is(outputs['y'], y);
    t.deepEqual([...y], expected(1));
    t.is(outputs['mean']!.length, 3);
    t.throws(() => session.run({ x: feed(1) }, { y: new Float32Array(11) }), { message: /'y' has 11 values.*12/ });
    session.dispose();
  });

  test(`runs can be asynchronous and concurrent on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine, threads: 2, maxBatch: 8 });
    const batches = [1, 8, 3, 5, 2];
    const results = await Promise.all(batches.map((batch) => session.runAsync({ x: feed(batch) })));
    results.forEach((outputs, index) => t.deepEqual([...outputs['y']!], expected(batches[index]!)));
    session.dispose();
  });

  test(`disposing during an asynchronous run lets it finish or refuses it clearly on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    const running = session.runAsync({ x: feed(1) });
    session.dispose();
    t.deepEqual([...(await running)['y']!], expected(1));
  });

  test(`a session that was disposed of refuses on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    session.dispose();
    session.dispose();
    const message = 'the session was disposed of: it cannot run any more';
    t.throws(() => session.run({ x: feed(1) }), { instanceOf: InvalidInputError, message });
    await t.throwsAsync(session.runAsync({ x: feed(1) }), { instanceOf: InvalidInputError, message });
    t.throws(() => session.plan(), { message });
  });

  test(`wrong names and types are refused on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    t.throws(() => session.run({}), { message: "the input 'x' is missing" });
    t.throws(() => session.run({ x: feed(1), w: feed(1) }), {
      message: "there is no input 'w': the network has 'x'",
    });
    t.throws(() => session.run({ x: feed(1) }, { w: feed(1) }), { message: /no output 'w'/ });
    t.throws(() => session.run({ x: [...feed(1)] as unknown as Float32Array }), { message: /no Float32Array/ });
    session.dispose();
  });

  test(`a NaN in the input reaches the outputs that depend on it on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    const x = feed(1);
    x[4] = NaN;
    const { y, mean } = session.run({ x });
    t.deepEqual([...y!].map(Number.isNaN), [...x].map(Number.isNaN));
    t.deepEqual([...mean!].map(Number.isNaN), [false, true, false]);
    session.dispose();
  });

  test(`infinities are values like others on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    const x = feed(1);
    x[0] = Infinity;
    x[1] = -Infinity;
    const { y, mean } = session.run({ x });
    // relu(-∞) + -∞ and relu(∞) + ∞; the mean over ∞ and finite values is ∞.
    t.deepEqual([...y!].slice(0, 3), [Infinity, -Infinity, -3]);
    t.deepEqual([...mean!].slice(0, 2), [Infinity, -Infinity]);
    session.dispose();
  });

  test(`asynchronous runs that are under way finish after dispose, in any number, and a synchronous one may come between on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine, threads: 2, maxBatch: 4 });
    const running = [1, 4, 2, 3].map((batch) => session.runAsync({ x: feed(batch) }));
    t.deepEqual([...session.run({ x: feed(2) })['y']!], expected(2));
    running.push(session.runAsync({ x: feed(1) }));
    session.dispose();
    const results = await Promise.all(running);
    results.forEach((outputs, index) => t.deepEqual([...outputs['y']!], expected([1, 4, 2, 3, 1][index]!)));
  });

  test(`a refused call leaves the session as it was on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine, maxBatch: 2 });
    t.throws(() => session.run({ x: feed(3) }), { instanceOf: InvalidInputError });
    await t.throwsAsync(session.runAsync({ x: feed(3) }), { instanceOf: InvalidInputError });
    await t.throwsAsync(session.runAsync({}), { instanceOf: InvalidInputError, message: "the input 'x' is missing" });
    await t.throwsAsync(session.runAsync({ x: feed(1) }, { y: new Float32Array(24) }), { message: /24 values.*12/ });
    t.deepEqual([...session.run({ x: feed(2) })['y']!], expected(2));
    session.dispose();
  });

  test(`a file is loaded by its path and named in errors on ${engine}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'edge-'));
    const path = join(folder, 'net.edge');
    await writeFile(path, bytes);
    const session = await EdgeSession.load(path, { engine });
    t.deepEqual([...session.run({ x: feed(1) })['y']!], expected(1));
    session.dispose();
    await writeFile(path, bytes.subarray(0, 100));
    await t.throwsAsync(EdgeSession.load(path, { engine }), {
      instanceOf: InvalidInputError,
      message: /net\.edge.*cut off/,
    });
    await writeFile(path, '');
    await t.throwsAsync(EdgeSession.load(path, { engine }), {
      instanceOf: InvalidInputError,
      message: /net\.edge.*0 bytes/,
    });
    await rm(folder, { recursive: true });
    await t.throwsAsync(EdgeSession.load(path, { engine }), { instanceOf: InvalidInputError, message: /net\.edge/ });
    await t.throwsAsync(EdgeSession.load(tmpdir(), { engine }), { instanceOf: InvalidInputError });
  });

  test(`bytes need not be aligned on ${engine}`, async (t) => {
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    const session = await EdgeSession.load(shifted.subarray(3), { engine });
    t.deepEqual([...session.run({ x: feed(1) })['y']!], expected(1));
    session.dispose();
  });

  test(`URLs of files and any view of bytes are sources, everything else is refused on ${engine}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'edge-'));
    const path = join(folder, 'a net.edge');
    await writeFile(path, bytes);
    const copy = Uint8Array.from(bytes);
    const data = `data:application/octet-stream;base64,${Buffer.from(bytes).toString('base64')}`;
    const views = [copy.buffer, new DataView(copy.buffer), Buffer.from(bytes)];
    for (const source of [pathToFileURL(path), pathToFileURL(path).href, data, ...views]) {
      const session = await EdgeSession.load(source, { engine });
      t.deepEqual([...session.run({ x: feed(1) })['y']!], expected(1));
      session.dispose();
    }
    await rm(folder, { recursive: true });
    for (const source of [undefined, null, 5, {}, new Blob([copy])])
      await t.throwsAsync(EdgeSession.load(source as unknown as string, { engine }), { instanceOf: UsageError });
    for (const source of [
      '',
      'a\0b',
      'file://host/net.edge',
      'http://localhost:1/net.edge',
      'data:,',
      data.slice(0, 90),
    ])
      await t.throwsAsync(EdgeSession.load(source, { engine }), { instanceOf: InvalidInputError });
  });

  test(`arrays that overlap, and what is no set of arrays, are refused on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    const x = feed(1);
    t.throws(() => session.run({ x }, { y: x }), { message: "the array for the output 'y' overlaps the input 'x'" });
    const shared = new Float32Array(14);
    const [y, mean] = [shared.subarray(0, 12), shared.subarray(11)];
    t.throws(() => session.run({ x }, { y, mean }), { message: /output 'mean' overlaps that for 'y'/ });
    t.deepEqual([...session.run({ x }, { y, mean: new Float32Array(3) })['y']!], expected(1));
    for (const nothing of [undefined, null, 7] as unknown as Record<string, Float32Array>[]) {
      t.throws(() => session.run(nothing), { instanceOf: InvalidInputError });
      await t.throwsAsync(session.runAsync(nothing), { instanceOf: InvalidInputError });
    }
    session.dispose();
  });

  test(`names of inputs and outputs may be those of any object's properties on ${engine}`, async (t) => {
    const odd = new GraphBuilder({ name: 'odd' });
    const value = odd.relu('toString', odd.input('constructor', [1, 2]));
    const graph = odd.build([{ name: '__proto__', value }]);
    const session = await EdgeSession.load(encodeEdge({ graph, weights: mapSource(new Map()) }), { engine });
    t.throws(() => session.run({}), { message: "the input 'constructor' is missing" });
    const results = session.run({ constructor: Float32Array.of(-1, 2) } as unknown as Record<string, Float32Array>);
    t.deepEqual(
      Object.entries(results).map(([name, values]) => [name, [...values]]),
      [['__proto__', [0, 2]]],
    );
    session.dispose();
  });

  test(`options out of range and too little memory are refused on ${engine}`, async (t) => {
    await t.throwsAsync(EdgeSession.load(bytes, { engine, threads: 0 }), { instanceOf: UsageError });
    await t.throwsAsync(EdgeSession.load(bytes, { engine, maxBatch: 1.5 }), { instanceOf: UsageError });
    const large = encodeEdge(new RandomModel({ seed: 8, nodes: 9, exact: true }).model);
    await t.throwsAsync(EdgeSession.load(large, { engine, memoryLimit: 16 }), { message: /limit.* 16/ });
    await t.throwsAsync(EdgeSession.load(bytes, { engine, maxBatch: 1e6 }), { message: /maxBatch is 1000000/ });
    for (const options of [{ threads: 1e9 }, { memoryLimit: NaN }, { memoryLimit: -1 }, { isa: 5 }, { wasm: 'mvp' }])
      await t.throwsAsync(EdgeSession.load(bytes, { engine, ...(options as object) }), { instanceOf: UsageError });
  });

  test(`the plan names nodes and kernels, and a profiled run times each step on ${engine}`, async (t) => {
    const session = await EdgeSession.load(bytes, { engine });
    const { steps } = session.plan();
    t.deepEqual(
      steps.map(({ node, step }) => `${node} ${step}`),
      ['relu activation', 'y binary', 'pool reduce'],
    );
    t.true(steps.every(({ kernel }) => /^dgc_f32_\w+_ukernel_\w+__\w+$/.test(kernel)));
    t.deepEqual(
      session.profile({ x: feed(1) }).map(({ id, ms }) => [id, ms >= 0]),
      steps.map(({ node }) => [node, true]),
    );
    session.dispose();
  });
}

test('the plan says what a convolution does beside multiplying and adding', async (t) => {
  const builder = new GraphBuilder({ name: 'condensed' });
  const y = builder.conv('y', builder.input('x', [1, 5, 5, 4]), { channelsOut: 8, kernelSize: 1 });
  const graph = builder.build([{ name: 'y', value: y }]);
  const classes = [
    { outputs: [0, 1, 2, 3], inputs: [0, 2, 3] },
    { outputs: [4, 5, 6, 7], inputs: [1, 2, 3] },
  ];
  const nodes = graph.nodes.map((node): Node => {
    if (node.op !== 'conv2d') return node;
    const connectivity = { kind: 'shared-inputs', channelsOut: 8, channelsIn: 4, groups: 2, classes } as const;
    return {
      ...node,
      attrs: { ...node.attrs, connectivity, pre: 'affine-relu', activation: { function: 'relu6' } },
      weights: {
        kernel: literalWeight([8, 3, 1, 1], Array<number>(24).fill(1)),
        preScale: literalWeight([4], [1, 1, 1, 1]),
        preShift: literalWeight([4], [0, 0, 0, 0]),
      },
    };
  });
  const condensed = encodeEdge({ graph: { ...graph, nodes }, weights: mapSource(new Map()) });
  for (const engine of testEngines) {
    const session = await EdgeSession.load(condensed, { engine });
    const { steps } = session.plan();
    t.is(steps.length, 1);
    t.like(steps[0], { step: 'conv2d', gathers: true, pre: 'affine-relu', activation: 'relu6', inputsPerGroup: 3 });
    t.false('adds' in steps[0]!);
    session.dispose();
  }
});

test('results do not depend on the number of threads, to the bit', async (t) => {
  const builder = new GraphBuilder({ name: 'wide' });
  let value = builder.input('x', [1, 19, 17, 48]);
  for (const [index, groups] of [12, 1, 48, 6].entries()) {
    const kernelSize = index === 1 ? 1 : 3;
    value = builder.relu(`relu${index}`, builder.conv(`conv${index}`, value, { channelsOut: 48, kernelSize, groups }));
  }
  const mean = builder.globalAveragePool('mean', value);
  const graph = builder.build([
    { name: 'y', value },
    { name: 'classes', value: builder.softmax('softmax', builder.dense('dense', mean, 100)) },
  ]);
  const wide = encodeEdge({ graph, weights: mapSource(initialWeights(graph, 3)) });
  const x = Float32Array.from({ length: 3 * 19 * 17 * 48 }, (_, index) => Math.sin(index));
  for (const engine of testEngines) {
    const results = [];
    for (const threads of [1, 2, 3, 8]) {
      const session = await EdgeSession.load(wide, { engine, threads, maxBatch: 3 });
      for (let repeat = 0; repeat < 3; repeat++) results.push(session.run({ x }));
      session.dispose();
    }
    for (const { y, classes } of results) {
      t.deepEqual(Buffer.from(y!.buffer), Buffer.from(results[0]!['y']!.buffer));
      t.deepEqual(Buffer.from(classes!.buffer), Buffer.from(results[0]!['classes']!.buffer));
    }
  }
});

test('an unknown engine and an unknown instruction set are refused', async (t) => {
  await t.throwsAsync(EdgeSession.load(bytes, { engine: 'gpu' as 'auto' }), { instanceOf: UsageError });
  if (testEngines.includes('native'))
    await t.throwsAsync(EdgeSession.load(bytes, { engine: 'native', isa: 'mmx' }), {
      message: /'mmx' is not available/,
    });
});

test('a batch that WebAssembly has no addresses for is refused, not cut to what fits', async (t) => {
  const wide = new GraphBuilder({ name: 'wide' });
  const value = wide.relu('y', wide.input('x', [1, 1024, 1024, 1]));
  const file = encodeEdge({ graph: wide.build([{ name: 'y', value }]), weights: mapSource(new Map()) });
  // 4 GiB of input and 4 MiB more.
  const load = EdgeSession.load(file, { engine: 'wasm', maxBatch: 1025 });
  await t.throwsAsync(load, { instanceOf: InvalidInputError, message: /no memory for 4299165696 bytes/ });
});

test('DGCONV_ISA forces an instruction set, and is named if there is no such', (t) => {
  if (!testEngines.includes('native')) return t.pass('there is no native engine');
  const code = `import { EdgeSession } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)};
    const bytes = Buffer.from('${Buffer.from(bytes).toString('base64')}', 'base64');
    const session = await EdgeSession.load(bytes, { engine: 'native' });
    console.log(session.plan().isa);`;
  const run = (isa: string) =>
    spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      env: { ...process.env, DGCONV_ISA: isa },
      encoding: 'utf8',
    });
  t.is(run('scalar').stdout, 'scalar\n');
  t.regex(run('mmx').stderr, /the instruction set 'mmx' is not available here; there are: .*scalar/);
  return undefined;
});

test('a network that cannot be batched says so when it is asked for', async (t) => {
  const builder = new GraphBuilder({ name: 'fixed' });
  const x = builder.input('x', [2, 2, 2, 3]);
  const graph = builder.build([{ name: 'y', value: builder.relu('y', x) }]);
  const fixed = encodeEdge({ graph, weights: mapSource(new Map()) });
  for (const engine of testEngines)
    await t.throwsAsync(EdgeSession.load(fixed, { engine, maxBatch: 2 }), { message: /batch 1 only/ });
});
