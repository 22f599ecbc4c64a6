import { UsageError } from '@dgconv/core';
import test from 'ava';
import { suiteNamed, suites } from './cases.js';

test('every case of every suite can be built and has one input and one output', (t) => {
  for (const { name, graph } of Object.values(suites).flat()) {
    const { inputs, outputs, nodes } = graph();
    t.is(inputs.length, 1, name);
    t.is(outputs.length, 1, name);
    t.true(nodes.length > 0, name);
  }
});

test('an unknown suite is a usage error that names the known ones', (t) => {
  t.throws(() => suiteNamed('toString'), {
    instanceOf: UsageError,
    message: "there is no suite 'toString': the suites are layers, networks, all, smoke",
  });
});
