import { GraphBuilder } from '@dgconv/core';
import { edgeWasmRuntime } from '@dgconv/runtimes';
import test from 'ava';
import { modelOfCase } from './bench.js';
import { suites } from './cases.js';
import { measureLatencies } from './latency-table.js';
import { chromeTrace, profileModel } from './profile.js';

test('a trace has one slice a step, one after the other, under the name of its network', async (t) => {
  const bytes = modelOfCase(suites['smoke']![1]!).bytesFor(edgeWasmRuntime)!;
  const steps = await profileModel(bytes, { threads: 1, rounds: 3 });
  t.deepEqual(
    steps.map(({ id }) => id),
    ['conv0', 'conv1', 'conv2'],
  );
  const { traceEvents } = JSON.parse(chromeTrace([{ name: 'net', steps }])) as {
    traceEvents: { ph: string; ts?: number; dur?: number; args: { name?: string } }[];
  };
  t.is(traceEvents[0]!.args.name, 'net');
  const slices = traceEvents.slice(1);
  t.is(slices.length, 3);
  slices
    .slice(1)
    .forEach((slice, index) => t.true(Math.abs(slice.ts! - slices[index]!.ts! - slices[index]!.dur!) < 1e-9));
});

test('a latency table has every number of groups of every different convolution', async (t) => {
  const builder = new GraphBuilder({ name: 'net' });
  let value = builder.input('input', [1, 4, 4, 6]);
  value = builder.conv('a', value, { channelsOut: 6, kernelSize: 3 });
  value = builder.conv('b', value, { channelsOut: 6, kernelSize: 3 });
  value = builder.conv('c', value, { channelsOut: 4, kernelSize: 1 });
  const graph = builder.build([{ name: 'output', value }]);
  const { entries } = await measureLatencies([graph], { threads: 1, rounds: 1 });
  t.deepEqual(
    entries.map(({ channelsOut, groups }) => [channelsOut, groups]),
    [
      [6, 1],
      [6, 2],
      [6, 3],
      [6, 6],
      [4, 1],
      [4, 2],
    ],
  );
  t.true(entries.every(({ ms }) => ms > 0));
});
