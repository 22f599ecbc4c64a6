import { costOf, GraphBuilder, gateComplexity, learnGroups, zooGraph } from '@dgconv/core';
import test from 'ava';
import fc from 'fast-check';
import { budgetOf, budgetPressure, costOfGates, gatedLayers, zetaOf } from './budget.js';
import { projectGates } from './project-gates.js';

/** Two learned convolutions of unlike channel counts, and a fixed one. */
function twoLayers() {
  const g = new GraphBuilder({ name: 'two' });
  let x = g.conv('stem', g.input('x', [1, 8, 8, 1]), { channelsOut: 12, kernelSize: 3 });
  x = g.conv('a', x, { channelsOut: 18, kernelSize: 3, stride: 2 });
  x = g.conv('b', x, { channelsOut: 18, kernelSize: 3 });
  const y = g.dense('fc', g.globalAveragePool('gap', x), 4);
  return learnGroups(g.build([{ name: 'y', value: y }]), { rule: 'dgconv', select: 'a,b', weights: 'new' });
}

const gateArrays = fc.record({
  a: fc.array(fc.constantFrom(-1, 1), { minLength: 2, maxLength: 2 }),
  b: fc.array(fc.constantFrom(-1, 1), { minLength: 3, maxLength: 3 }),
});

test('the budget of G-ResNeXt-50 at b = 32 is the published one', (t) => {
  t.is(budgetOf(zooGraph('g_resnext50'), { kind: 'b', value: 32 }).limit, 157_184);
});

test('ζ is the sum of the complexities of the layers', (t) => {
  const layers = gatedLayers(twoLayers());
  t.deepEqual(
    layers.map(({ id, factors }) => [id, factors]),
    [
      ['a', [2, 3]],
      ['b', [2, 3, 3]],
    ],
  );
  fc.assert(
    fc.property(gateArrays, ({ a, b }) => {
      t.is(
        zetaOf(
          layers,
          new Map([
            ['a', a],
            ['b', b],
          ]),
        ),
        gateComplexity(a, 18, 12) + gateComplexity(b, 18, 18),
      );
    }),
    { seed: 1 },
  );
});

test('costs in MACs and parameters are those of the network that the gates make', (t) => {
  const graph = twoLayers();
  const dense = costOf(graph);
  for (const kind of ['macs', 'params'] as const) {
    const budget = budgetOf(graph, { kind, value: dense[kind] });
    t.is(
      costOfGates(
        budget,
        new Map([
          ['a', [1, 1]],
          ['b', [1, 1, 1]],
        ]),
      ),
      dense[kind],
    );
    // b with all gates off keeps 18 of 324 connections; a keeps a half with its first gate off.
    const perPair = kind === 'macs' ? 9 * 16 : 9;
    const saved = (324 - 18) * perPair + 108 * perPair;
    t.is(
      costOfGates(
        budget,
        new Map([
          ['a', [-1, 1]],
          ['b', [-1, -1, -1]],
        ]),
      ),
      dense[kind] - saved,
    );
  }
});

test('the pressure of the budget is the slope of its factor, at hard gates', (t) => {
  const budget = budgetOf(twoLayers(), { kind: 'zeta', value: 60 });
  const relaxed = (gates: readonly number[][]) => {
    // ζ with gates that may lie between: Π (1 + g(p - 1)) over the factors.
    const zeta = budget.layers.reduce((sum, { factors, channelsIn, channelsOut }, layer) => {
      const all = factors.reduce((product, p) => product * p, 1);
      return (
        sum +
        ((channelsIn * channelsOut) / all) *
          factors.reduce((product, p, k) => product * (1 + gates[layer]![k]! * (p - 1)), 1)
      );
    }, 0);
    return (60 / zeta) ** -0.02;
  };
  fc.assert(
    fc.property(gateArrays, ({ a, b }) => {
      const pressure = budgetPressure(
        budget,
        new Map([
          ['a', a],
          ['b', b],
        ]),
      );
      const hard = [a, b].map((gates) => gates.map((gate) => (gate > 0 ? 1 : 0)));
      if (
        zetaOf(
          budget.layers,
          new Map([
            ['a', a],
            ['b', b],
          ]),
        ) <= 60
      ) {
        t.is(pressure, null);
        return;
      }
      t.true(Math.abs(pressure!.factor - relaxed(hard)) < 1e-12);
      hard.forEach((gates, layer) =>
        gates.forEach((_, k) => {
          const moved = (step: number) =>
            relaxed(
              hard.map((values, at) => values.map((value, j) => (at === layer && j === k ? value + step : value))),
            );
          const slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
          t.true(Math.abs(pressure!.gradients.get(budget.layers[layer]!.id)![k]! - slope) < 1e-8);
        }),
      );
    }),
    { seed: 1 },
  );
});

test('projection ends within the budget, from whatever gates, and touches nothing within it', (t) => {
  fc.assert(
    fc.property(
      gateArrays,
      fc.integer({ min: 54, max: 700 }),
      fc.infiniteStream(fc.double({ min: -1, max: 1, noNaN: true })),
      (gates, limit, losses) => {
        const budget = budgetOf(twoLayers(), { kind: 'zeta', value: limit });
        const values = new Map(Object.entries(gates).map(([id, raw]) => [id, Float32Array.from(raw)]));
        const before = costOfGates(budget, values);
        const switched = projectGates(budget, values, limit, () => losses.next().value as number);
        t.true(costOfGates(budget, values) <= limit);
        t.is(switched.length > 0, before > limit);
      },
    ),
    { seed: 1 },
  );
});

test('projection switches off the gate that costs the least loss for what it saves', (t) => {
  const budget = budgetOf(twoLayers(), { kind: 'zeta', value: 432 });
  const values = new Map([
    ['a', Float32Array.from([1, 1])],
    ['b', Float32Array.from([1, 1, 1])],
  ]);
  // Off, gate 1 of b hurts least of those that save as much.
  const loss = () =>
    1 +
    (values.get('b')![1]! < 0 ? 0.01 : 0) +
    [values.get('b')![0]!, values.get('b')![2]!, ...values.get('a')!].filter((gate) => gate < 0).length;
  t.deepEqual(projectGates(budget, values, 432, loss), [{ layer: 'b', gate: 1 }]);
});

test('budgets that cannot be are refused', (t) => {
  const graph = twoLayers();
  t.throws(() => budgetOf(graph, { kind: 'zeta', value: 10 }), { message: /even with all gates off two has 54/ });
  t.throws(() => budgetOf(graph, { kind: 'ms', value: 10 }), { name: 'UsageError', message: /needs a table/ });
  t.throws(() => budgetOf(graph, { kind: 'b', value: 0 }), { name: 'InvalidInputError' });
  t.throws(() => budgetOf(zooGraph('resnet50'), { kind: 'b', value: 8 }), {
    message: /needs convolutions that learn gates/,
  });
});
