import { compile, emitters } from '@dgconv/compiler';
import { GraphBuilder, initialWeights, learnGroups, mapSource, readLatencyTable } from '@dgconv/core';
import test from 'ava';
import { measureLatencies } from './latency-table.js';
import { withoutLearning } from './without-learning.js';

test('a latency table has every number of groups of every different convolution, and the time of the rest', async (t) => {
  const builder = new GraphBuilder({ name: 'net' });
  let value = builder.input('input', [1, 4, 4, 6]);
  value = builder.conv('a', value, { channelsOut: 6, kernelSize: 3 });
  value = builder.conv('b', value, { channelsOut: 6, kernelSize: 3 });
  value = builder.conv('c', value, { channelsOut: 6, kernelSize: 3, dilation: 2 });
  value = builder.conv('d', value, { channelsOut: 4, kernelSize: 1, stride: 2 });
  const learned = learnGroups(builder.build([{ name: 'output', value }]), {
    rule: 'dgconv',
    select: 'a',
    weights: 'new',
  });
  const graph = withoutLearning(learned);
  const model = { graph, weights: mapSource(initialWeights(graph, 1)) };
  const bytes = emitters.edge(compile(model, { formats: ['edge'] }).targets.edge!);
  const done: string[] = [];
  const table = await measureLatencies([{ graph, bytes }], {
    threads: 1,
    rounds: 1,
    onProgress: (at, of) => done.push(`${at}/${of}`),
  });
  t.deepEqual(
    table.entries.map(({ channelsOut, dilations, groups }) => [channelsOut, dilations[0], groups]),
    [
      [6, 1, 1],
      [6, 1, 2],
      [6, 1, 3],
      [6, 1, 6],
      [6, 2, 1],
      [6, 2, 2],
      [6, 2, 3],
      [6, 2, 6],
      [4, 1, 1],
      [4, 1, 2],
    ],
  );
  t.true(table.entries.every(({ ms }) => ms > 0));
  t.deepEqual(done, ['4/11', '8/11', '10/11', '11/11']);
  const [network] = table.networks;
  t.is(network!.name, 'net');
  const dense = table.entries.filter(({ groups }) => groups === 1).map(({ ms }) => ms);
  const measured = dense[0]! + dense[0]! + dense[1]! + dense[2]!;
  t.is(network!.restMs, Math.max(network!.ms - measured, 0));
  t.deepEqual(readLatencyTable(JSON.stringify(table), 'table.json'), table);
});
