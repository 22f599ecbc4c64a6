import { GraphBuilder, interpret, mapSource } from '@dgconv/core';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32c } from './crc32c.js';
import { encodeEdge, type EncodeEdgeOptions } from './edge-encode.js';
import { RandomModel } from './testing/random-model.js';

const built = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const isInstalled = (command: string): boolean => spawnSync(command, ['--version']).status === 0;

/** How the program is started on this machine: as it is, and the one for arm64 in an emulator. */
const programs = [
  { name: 'this machine', command: [built('native/dgconv-run')], isThere: true },
  { name: 'arm64', command: ['qemu-aarch64', built('arm64/dgconv-run')], isThere: isInstalled('qemu-aarch64') },
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
      ['info', path, '--what'],
    ])
      t.is(run(...args).status, 2, args.join(' '));
    for (const args of [
      ['info', path],
      ['bench', `${path}.not`],
      ['selftest', path],
      ['conformance', path],
    ])
      t.is(run(...args).status, 3, args.join(' '));
    t.regex(run('--help').stdout, /Examples/);
  });
}
