import {
  convolutionShapes,
  type Graph,
  GraphBuilder,
  learnGroups,
  type LatencyEntry,
  type LatencyTable,
} from '@dgconv/core';
import test from 'ava';
import fc from 'fast-check';
import { type Budget, budgetOf, budgetPressure, costOfGates } from './budget.js';
import { projectGates } from './project-gates.js';

/** Two learned convolutions of 12 → 18 and 18 → 18 channels, two fixed ones. */
function network(): Graph {
  const g = new GraphBuilder({ name: 'net' });
  let x = g.conv('stem', g.input('x', [1, 8, 8, 1]), { channelsOut: 12, kernelSize: 3 });
  x = g.conv('a', x, { channelsOut: 18, kernelSize: 3, stride: 2 });
  x = g.conv('b', x, { channelsOut: 18, kernelSize: 3 });
  x = g.conv('last', x, { channelsOut: 6, kernelSize: 1, groups: 2 });
  const y = g.dense('fc', g.globalAveragePool('gap', x), 4);
  return learnGroups(g.build([{ name: 'y', value: y }]), { rule: 'dgconv', select: 'a,b', weights: 'new' });
}

const graph = network();
/** Groups that gates reach, by layer. */
const reachable = { a: [1, 2, 3, 6], b: [1, 2, 3, 6, 9, 18] };

/** A table in which the layers take these times, the stem 1, the last convolution 2, and the rest 4. */
function tableOf(a: readonly number[], b: readonly number[]): LatencyTable {
  const times: Readonly<Record<string, readonly (readonly [groups: number, ms: number])[]>> = {
    stem: [[1, 1]],
    a: a.map((ms, at) => [reachable.a[at]!, ms]),
    b: b.map((ms, at) => [reachable.b[at]!, ms]),
    last: [
      [1, 99],
      [2, 2],
    ],
  };
  const entries = convolutionShapes(graph).flatMap(({ node, shape }) =>
    times[node.id]!.map(([groups, ms]): LatencyEntry => ({ ...shape, groups, ms })),
  );
  return { cpu: 'a CPU', threads: 1, networks: [{ name: 'net', ms: 9, restMs: 4 }], entries };
}

const budget = (value: number, table: LatencyTable): Budget =>
  budgetOf(graph, { kind: 'ms', value }, { table, name: 'table.json' });

const gatesOf = (a: readonly number[], b: readonly number[]) =>
  new Map([
    ['a', Float32Array.from(a)],
    ['b', Float32Array.from(b)],
  ]);

const times = (count: number) =>
  fc.array(fc.double({ min: 0, max: 50, noNaN: true }), { minLength: count, maxLength: count });
const gates = (count: number) => fc.array(fc.constantFrom(-1, 1), { minLength: count, maxLength: count });

test('a network costs the times of its layers in their groups, and of everything else', (t) => {
  const { fixedCost, layers } = budget(100, tableOf([40, 30, 20, 10], [6, 5, 4, 3, 2, 1]));
  t.is(fixedCost, 1 + 2 + 4);
  t.deepEqual([...layers[0]!.costs], [[1, 40], [2, 30], [3, 20], [6, 10]]); // prettier-ignore
  const cost = (a: number[], b: number[]) => costOfGates({ ...budget(100, tableOf([40, 30, 20, 10], [6, 5, 4, 3, 2, 1])) }, gatesOf(a, b)); // prettier-ignore
  t.is(cost([1, 1], [1, 1, 1]), 7 + 40 + 6);
  t.is(cost([-1, 1], [1, -1, -1]), 7 + 30 + 2);
  t.is(cost([-1, -1], [-1, -1, -1]), 7 + 10 + 1);
});

test('the pressure pushes a gate towards the state that is faster, by what that saves', (t) => {
  fc.assert(
    fc.property(times(4), times(6), gates(2), gates(3), (a, b, gatesA, gatesB) => {
      const limited = budget(7 + Math.min(...a) + Math.min(...b), tableOf(a, b));
      const values = gatesOf(gatesA, gatesB);
      const pressure = budgetPressure(limited, values);
      const cost = costOfGates(limited, values);
      t.is(pressure === null, cost <= limited.limit);
      if (pressure === null) return;
      for (const { id, factors } of limited.layers) {
        const raw = values.get(id)!;
        factors.forEach((_, k) => {
          const kept = raw[k]!;
          raw[k] = 1;
          const on = costOfGates(limited, values);
          raw[k] = -1;
          const off = costOfGates(limited, values);
          raw[k] = kept;
          const slope = (0.02 * (on - off) * (limited.limit / cost) ** -0.02) / cost;
          t.true(Math.abs(pressure.gradients.get(id)![k]! - slope) < 1e-9);
        });
      }
    }),
    { seed: 1 },
  );
});

test('projection reaches any budget that some gates reach, however times depend on groups', (t) => {
  fc.assert(
    fc.property(
      times(4),
      times(6),
      gates(2),
      gates(3),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.infiniteStream(fc.double({ min: -1, max: 1, noNaN: true })),
      (a, b, gatesA, gatesB, share, losses) => {
        // As the sum is made, so that the least is met exactly.
        const least = 4 + 1 + 2 + Math.min(...a) + Math.min(...b);
        const limited = budget(least + share * 50, tableOf(a, b));
        const values = gatesOf(gatesA, gatesB);
        const before = costOfGates(limited, values);
        const switched = projectGates(limited, values, limited.limit, () => losses.next().value as number);
        t.true(costOfGates(limited, values) <= limited.limit);
        t.is(switched.length > 0, before > limited.limit);
      },
    ),
    { seed: 1 },
  );
});

test('where finer groups are slower, gates go on', (t) => {
  const values = gatesOf([-1, -1], [1, 1, 1]);
  const limited = budget(30, tableOf([10, 20, 30, 40], [6, 6, 6, 6, 6, 6]));
  const before = new Map([...values].map(([id, raw]) => [id, raw.slice()]));
  // Off, gate 0 of a matters; gate 1 does not.
  const lossOf = () => (values.get('a')![0]! > 0 ? 5 : 1);
  t.deepEqual(projectGates(limited, values, 40, lossOf), [{ layer: 'a', gate: 1 }]);
  t.deepEqual(values.get('b'), before.get('b'));
  t.deepEqual(projectGates(limited, values, 30, lossOf), [{ layer: 'a', gate: 0 }]);
  t.deepEqual([...values.get('a')!], [1, 1]);
});

test('where no single gate saves, several switch together', (t) => {
  // Two groups and three take longer than one, six less.
  const limited = budget(30, tableOf([20, 25, 25, 10], [6, 6, 6, 6, 6, 6]));
  const values = gatesOf([1, 1], [1, 1, 1]);
  const switched = projectGates(limited, values, 30, () => 1);
  t.deepEqual(switched, [
    { layer: 'a', gate: 0 },
    { layer: 'a', gate: 1 },
  ]);
  t.is(costOfGates(limited, values), 7 + 10 + 6);
});

test('a table of another network, or with a gap, is refused with what is missing', (t) => {
  const table = tableOf([4, 3, 2, 1], [6, 5, 4, 3, 2, 1]);
  const refuse = (changes: Partial<LatencyTable>, message: RegExp) =>
    t.throws(() => budget(50, { ...table, ...changes }), { name: 'InvalidInputError', message });
  refuse({ networks: [{ name: 'other', ms: 1, restMs: 0 }] }, /^table\.json: it has times of 'other', and the network is 'net'$/); // prettier-ignore
  refuse({ networks: [] }, /it has times of none/);
  const without = (channelsOut: number, groups: number) => ({
    entries: table.entries.filter((entry) => entry.channelsOut !== channelsOut || entry.groups !== groups),
  });
  refuse(without(18, 6), /^table\.json: it lacks the time of 'a' \(3×3, stride 2, padding 1, 12 → 18 channels, input 8×8\) in 6 groups$/); // prettier-ignore
  refuse(without(6, 2), /lacks the time of 'last' \(1×1, stride 1, padding 0, 18 → 6 channels, input 4×4\) in 2 groups$/); // prettier-ignore
  refuse(without(12, 1), /lacks the time of 'stem' .* in 1 group$/);
  t.throws(() => budget(8, table), { message: /^The budget ms=8 allows 8, and net takes 9 at its fastest\.$/ });
});
