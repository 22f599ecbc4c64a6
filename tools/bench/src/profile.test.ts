import { edgeWasmRuntime } from '@dgconv/runtimes';
import test from 'ava';
import { modelOfCase } from './bench.js';
import { suites } from './cases.js';
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
