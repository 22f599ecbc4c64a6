import { GraphBuilder, interpret, mapSource } from '@dgconv/core';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32c } from './crc32c.js';
import { encodeEdge, type EncodeEdgeOptions } from './edge-encode.js';
import { RandomModel } from './testing/random-model.js';

const built = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const isInstalled = (command: string): boolean => spawnSync(command, ['--version']).status === 0;

/** How the program is started on this machine: as it is, and those for ARM in an emulator. */
const programs = [
  { name: 'this machine', command: [built('native/dgconv-run')], isThere: true },
  { name: 'arm64', command: ['qemu-aarch64', built('arm64/dgconv-run')], isThere: isInstalled('qemu-aarch64') },
  { name: 'armhf', command: ['qemu-arm', built('armhf/dgconv-run')], isThere: isInstalled('qemu-arm') },
].map((program) => ({ ...program, isThere: program.isThere && existsSync(program.command.at(-1)!) }));

function npy(shape: readonly number[], values: Float32Array): Buffer {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const header = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + '\n';
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  return Buffer.concat([start, Buffer.from(header, 'latin1'), Buffer.from(values.buffer)]);
}

function npyFloats(file: Buffer): { header: string; values: number[] } {
  const size = file.readUInt16LE(8);
  const data = file.subarray(10 + size);
  return {
    header: file.toString('latin1', 10, 10 + size),
    values: Array.from({ length: data.length / 4 }, (_, index) => data.readFloatLE(index * 4)),
  };
}

const random = new RandomModel({ seed: 21, nodes: 7, exact: true });
const [input] = random.model.graph.inputs;

for (const { name, command, isThere } of programs) {
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(command[0]!, [...command.slice(1), ...args], { encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  const board = isThere ? test : test.skip;

  board(`dgconv-run runs a batch of arrays on ${name}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'dgconv-run-'));
    const feeds = random.feeds(3);
    await writeFile(join(folder, 'net.edge'), encodeEdge(random.model));
    await writeFile(join(folder, 'x.npy'), npy([3, ...input!.shape.slice(1)], feeds.input));
    const outputs = ['last', 'middle'].flatMap((output) => ['--output', `${output}=${join(folder, `${output}.npy`)}`]);
    const { status, stdout, stderr } = run(
      'run',
      join(folder, 'net.edge'),
      '--input',
      join(folder, 'x.npy'),
      ...outputs,
      '--json',
      '--threads',
      '2',
    );
    t.is(status, 0, stderr);
    const expected = interpret(random.model, feeds, { batch: 3 });
    for (const output of ['last', 'middle']) {
      const { header, values } = npyFloats(await readFile(join(folder, `${output}.npy`)));
      t.deepEqual(values, [...expected[output]!]);
      t.regex(header, /'shape': \(3, /);
    }
    const { outputs: told } = JSON.parse(stdout) as { outputs: { name: string; shape: number[] }[] };
    t.deepEqual(
      told.map((output) => [output.name, output.shape[0]]),
      [
        ['last', 3],
        ['middle', 3],
      ],
    );
    await writeFile(join(folder, 'x.npy'), npy([1, 1, 1, 1], new Float32Array(1)));
    t.is(run('run', join(folder, 'net.edge'), '--input', join(folder, 'x.npy')).status, 3);
    await writeFile(join(folder, 'x.npy'), 'no array');
    t.is(run('run', join(folder, 'net.edge'), '--input', join(folder, 'x.npy')).status, 3);
  });

  board(`a file proves itself with its test vectors on ${name}, and a wrong one is told`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'dgconv-run-'));
    const inputs = random.feeds(1);
    const outputs = Object.fromEntries(
      Object.entries(interpret(random.model, inputs)).map(([key, values]) => [key, Float32Array.from(values)]),
    );
    const good = encodeEdge(random.model, { testVectors: [{ inputs, outputs }], tolerance: {} });
    outputs['last']![0]! += 1;
    const bad = encodeEdge(random.model, { testVectors: [{ inputs, outputs }], tolerance: {} });
    await writeFile(join(folder, 'a.edge'), good);
    await writeFile(join(folder, 'b.edge'), bad);
    t.is(run('selftest', join(folder, 'a.edge')).status, 0);
    const failed = run('selftest', join(folder, 'b.edge'));
    t.is(failed.status, 1);
    const [right, wrong] = [outputs['last']![0]! - 1, outputs['last']![0]!];
    t.true(
      failed.stderr.includes(
        `test vector 0: value 0 of output 'last' is ${right}, expected ${wrong} (allowed difference: 0)`,
      ),
      failed.stderr,
    );

    await writeFile(join(folder, 'cases.txt'), 'a.edge\tthe right one\nb.edge\tthe wrong one\n');
    t.is(run('conformance', folder).status, 1);
    const result = JSON.parse(await readFile(join(folder, 'result.json'), 'utf8')) as Record<string, unknown>;
    t.is(result['passed'], 1);
    t.is(result['failed'], 1);
    t.deepEqual(
      (result['failures'] as { name: string }[]).map((failure) => failure.name),
      ['the wrong one'],
    );
    const tap = await readFile(join(folder, 'result.tap'), 'utf8');
    t.regex(tap, /^TAP version 13\n1\.\.2\nok 1 - the right one\nnot ok 2 - the wrong one\n# /);
    await writeFile(join(folder, 'cases.txt'), 'a.edge\tthe right one\n');
    t.is(run('conformance', folder).status, 0);
  });

  board(`a self-test takes NaN for NaN and each value by its own tolerance on ${name}`, async (t) => {
    const path = join(await mkdtemp(join(tmpdir(), 'dgconv-run-')), 'net.edge');
    const builder = new GraphBuilder({ name: 'sqrt' });
    const x = builder.input('x', [1, 4]);
    const graph = builder.build([{ name: 'y', value: builder.activation('y', x, { function: 'sqrt' }) }]);
    const inputs = { x: Float32Array.of(-1, Infinity, 1e6, 4) };
    const selftest = async (y: readonly number[], tolerance: NonNullable<EncodeEdgeOptions['tolerance']>) => {
      const testVectors = [{ inputs, outputs: { y: Float32Array.from(y) } }];
      await writeFile(path, encodeEdge({ graph, weights: mapSource(new Map()) }, { testVectors, tolerance }));
      const { status, stdout } = run('selftest', path, '--json');
      return { status, ...(JSON.parse(stdout) as { maxAbsError: number | null; compared: number; reason: string }) };
    };
    t.like(await selftest([NaN, Infinity, 1000, 2], {}), { status: 0, maxAbsError: 0, compared: 4, reason: '' });
    t.like(await selftest([NaN, Infinity, 1001, 2], { relative: 0.01 }), { status: 0, maxAbsError: 1 });
    t.like(await selftest([NaN, Infinity, 1000, 3], { ofLargest: 0.001 }), { status: 0, maxAbsError: 1 });
    t.like(await selftest([NaN, Infinity, 1000, 3], { relative: 0.01, absolute: 0.5 }), {
      status: 1,
      reason: "test vector 0: value 3 of output 'y' is 2, expected 3 (allowed difference: 0.53)",
    });
    t.like(await selftest([NaN, 5, 1000, 2], { ofLargest: 1 }), {
      status: 1,
      maxAbsError: null,
      reason: "test vector 0: value 1 of output 'y' is inf, expected 5 (allowed difference: 1e+03)",
    });
    t.like(await selftest([1, Infinity, 1000, 2], { ofLargest: 1 }), { status: 1, maxAbsError: null });
  });

  board(`dgconv-run times and describes a file on ${name}`, async (t) => {
    const path = join(await mkdtemp(join(tmpdir(), 'dgconv-run-')), 'net.edge');
    await writeFile(path, encodeEdge(random.model));
    const bench = run('bench', path, '--repeats', '3', '--json');
    t.is(bench.status, 0, bench.stderr);
    const { rows } = JSON.parse(bench.stdout) as { rows: { repeats: number; minMs: number; medianMs: number }[] };
    t.is(rows[0]!.repeats, 3);
    t.true(rows[0]!.minMs <= rows[0]!.medianMs);
    const info = JSON.parse(run('info', path, '--json').stdout) as { plan: { steps: object[] }; inputs: object[] };
    t.true(info.plan.steps.length > 0);
    t.deepEqual(info.inputs, [{ name: 'input', shape: [...input!.shape] }]);
  });

  board(`dgconv-run tells wrong usage from bad files on ${name}`, async (t) => {
    const path = join(await mkdtemp(join(tmpdir(), 'dgconv-run-')), 'net.edge');
    const bytes = encodeEdge(random.model);
    bytes[100]! ^= 255;
    new DataView(bytes.buffer).setUint32(8, crc32c(bytes.subarray(16)), true);
    await writeFile(path, bytes);
    for (const args of [
      [],
      ['fly', path],
      ['run'],
      ['run', path],
      ['bench', path, '--repeats', '0'],
      ['bench', path, '--threads', '0'],
      ['bench', path, '--input', path],
      ['info', path, '--what'],
      ['info', path, '--isa', 'abacus'],
      ['info', path, path],
    ]) {
      const { status, stdout } = run(...args);
      t.deepEqual({ status, stdout }, { status: 2, stdout: '' }, args.join(' '));
    }
    for (const args of [
      ['info', path],
      ['bench', `${path}.not`],
      ['selftest', path],
      ['conformance', path],
    ])
      t.is(run(...args).status, 3, args.join(' '));
    t.regex(run('--help').stdout, /Examples/);
    for (const [args, message] of [
      [['fly', path], 'there is no such command: fly; see --help'],
      [['info', path, '--what'], 'there is no such option: --what; see --help'],
      [['bench', path, '--repeats'], 'an option lacks its value: --repeats; see --help'],
      [['bench', path, '--threads', 'two'], '--threads takes a whole number from 1 to 256, not this: two; see --help'],
      [['info', tmpdir()], `${tmpdir()}: not a regular file`],
      [['selftest', `${path}.not`], `${path}.not: No such file or directory`],
    ] satisfies [string[], string][])
      t.is(run(...args).stderr, `dgconv-run: ${message}\n`);
  });

  board(`an array that is broken or does not fit is refused, and nothing is written, on ${name}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'dgconv-run-'));
    const [net, x, y] = ['net.edge', 'x.npy', 'y.npy'].map((file) => join(folder, file)) as [string, string, string];
    const builder = new GraphBuilder({ name: 'two' });
    const left = builder.input('left', [1, 1]);
    const sum = builder.relu('relu', builder.add('add', left, builder.input('right', [1, 1])));
    const graph = builder.build([{ name: 'sum', value: sum }]);
    await writeFile(net, encodeEdge({ graph, weights: mapSource(new Map()) }));
    const good = npy([2, 1], Float32Array.of(1, 2));
    const text = (from: string, to: string) => Buffer.from(good.toString('latin1').replace(from, to), 'latin1');
    await writeFile(join(folder, 'good.npy'), good);
    const sameFile = ['--input', `right=${join(folder, 'good.npy')}`, '--output', y];
    const broken: [Buffer, RegExp][] = [
      [good.subarray(0, good.length - 1), /its data do not fill the shape/],
      [Buffer.concat([good, Buffer.alloc(1)]), /its data do not fill the shape/],
      [good.subarray(0, 40), /is no \.npy file/],
      [Buffer.alloc(0), /is no \.npy file/],
      [text('<f4', '<f8'), /'<f8'.* needed is little-endian float32/],
      [text('<f4', '>f4'), /needed is little-endian float32/],
      [text('False, ', 'True,  '), /is in Fortran order/],
      [text('(2, 1,)', '(2, -1)'), /shape is broken or too large/],
      [text('(2, 1,)', '(2, 1, '), /shape is broken or too large/],
      [npy([1], Float32Array.of(1)), /does not fit the input 'left'/],
      [npy([0, 1], new Float32Array(0)), /does not fit the input 'left'/],
      [npy([1, 2], Float32Array.of(1, 2)), /does not fit the input 'left'/],
      [npy([3, 1], Float32Array.of(1, 2, 3)), /does not fit the input 'right'/],
      // 2^30 + 1 floats are 4 bytes to a machine that counts in 32 bits.
      [npy([2 ** 30 + 1, 1], Float32Array.of(1)), /x\.npy: (no memory for|its data do not fill)/],
    ];
    for (const [bytes, message] of broken) {
      await writeFile(x, bytes);
      const { status, stdout, stderr } = run('run', net, '--input', `left=${x}`, ...sameFile, '--json');
      t.deepEqual({ status, stdout }, { status: 3, stdout: '' }, stderr);
      t.regex(stderr, message);
    }
    const missing = run('run', net, '--input', `left=${x}.not`, ...sameFile);
    t.is(missing.status, 3);
    t.regex(missing.stderr, /x\.npy\.not: No such file/);
    t.deepEqual((await readdir(folder)).sort(), ['good.npy', 'net.edge', 'x.npy']);

    const files = ['--input', `left=${join(folder, 'good.npy')}`, ...sameFile.slice(0, 2)];
    const wrong: [string[], RegExp][] = [
      [files.slice(0, 2), /the input 'right' is missing/],
      [[...files, '--input', `up=${x}`], /the network has no input 'up'/],
      [[...files, '--input', `left=${x}`], /--input is given twice for the same tensor/],
      [[...files.slice(0, 2), '--input', x], /the network has 2 inputs: say which with --input NAME=FILE/],
      [[...files, '--output', `product=${y}`], /the network has no output 'product'/],
      [[...files, '--output', y, '--output', `sum=${y}`], /--output is given twice for the same tensor/],
    ];
    for (const [args, message] of wrong) {
      const { status, stderr } = run('run', net, ...args);
      t.is(status, 2, stderr);
      t.regex(stderr, message);
    }
    t.false(existsSync(y));
  });

  const full = isThere && existsSync('/dev/full') ? test : test.skip;
  full(`a full disk is told with exit code 3, and what lies there stays, on ${name}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'dgconv-run-'));
    const [net, x] = [join(folder, 'net.edge'), join(folder, 'x.npy')];
    await writeFile(net, encodeEdge(random.model));
    await writeFile(x, npy(input!.shape, random.feeds(1).input));
    const told = run('run', net, '--input', x, '--output', 'last=/dev/full');
    t.is(told.status, 3, told.stderr);
    t.regex(told.stderr, /^dgconv-run: \/dev\/full: No space left on device/);
    t.true((await stat('/dev/full')).isCharacterDevice());
    const intoNothing = run('run', net, '--input', x, '--output', `last=${join(folder, 'not/y.npy')}`);
    t.is(intoNothing.status, 3, intoNothing.stderr);
    for (const args of [['--help'], ['--version'], ['info', net], ['info', net, '--json'], ['bench', net]]) {
      const quoted = [...command, ...args].map((part) => `'${part}'`).join(' ');
      const { status, stderr } = spawnSync('sh', ['-c', `${quoted} > /dev/full`], { encoding: 'utf8' });
      t.is(status, 3, `${args.join(' ')}: ${stderr}`);
      t.regex(stderr, /stdout cannot be written to/);
    }
    t.deepEqual((await readdir(folder)).sort(), ['net.edge', 'x.npy']);
  });

  board(`a bundle that cannot take its results is told with exit code 3 on ${name}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'dgconv-run-'));
    await writeFile(join(folder, 'cases.txt'), 'a.edge\ta file that is missing\n');
    await mkdir(join(folder, 'result.tap'));
    t.is(run('conformance', folder).status, 3);
    await rmdir(join(folder, 'result.tap'));
    const { status, stdout } = run('conformance', folder, '--json');
    t.is(status, 1);
    t.like(JSON.parse(stdout), { passed: 0, failed: 1 });
    t.is(await readFile(join(folder, 'result.json'), 'utf8'), stdout);
    await writeFile(join(folder, 'cases.txt'), '../a.edge\toutside\n');
    t.is(run('conformance', folder).status, 3);
  });
}
