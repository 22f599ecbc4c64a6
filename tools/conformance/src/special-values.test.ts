import { interpret } from '@dgconv/core';
import { encodeEdge, EdgeSession, nativeInstructionSets } from '@dgconv/runtime-edge';
import test from 'ava';
import { goldenSuite } from './golden-suite.js';

/** Connections that may be computed as dense with weights of 0, as docs/edge-format.md says: 0 · NaN and 0 · ∞ are NaN. */
const isDenseInside = /unstructured|shared outputs|without inputs/;

const engines = [
  ...nativeInstructionSets().map((isa) => ({ engine: 'native' as const, isa })),
  { engine: 'wasm' as const, isa: '' },
];

const agrees = (wanted: number, got: number): boolean =>
  Number.isFinite(wanted) ? Math.abs(got - wanted) <= 1e-3 * Math.max(1, Math.abs(wanted)) : Object.is(wanted, got);

test('one NaN or infinity in an input reaches those values that it should, and no others, with every op and instruction set', async (t) => {
  let places = 0;
  for (const [index, { name, prepare }] of goldenSuite().entries()) {
    if (isDenseInside.test(name)) continue;
    for (const { target, feeds } of prepare('edge', () => undefined)) {
      const bytes = encodeEdge(target);
      for (const special of [NaN, Infinity, -Infinity]) {
        const specials = Object.fromEntries(Object.entries(feeds).map(([input, values]) => [input, values.slice()]));
        const [first] = Object.values(specials);
        // Somewhere else in each case: in the middle, on borders, in tails.
        first![(index * 7919) % first!.length] = special;
        const expected = interpret(target, specials);
        for (const { engine, isa } of engines) {
          const session = await EdgeSession.load(bytes, { engine, isa });
          const results = session.run(specials);
          session.dispose();
          for (const [output, values] of Object.entries(results)) {
            const wanted = Float32Array.from(expected[output]!);
            const wrong = values.findIndex((value, at) => !agrees(wanted[at]!, value));
            t.is(wrong, -1, `${name}, ${special}, ${isa || engine}: value ${wrong} is ${values[wrong]}, expected ${wanted[wrong]}`); // prettier-ignore
            places += wanted.filter((value) => !Number.isFinite(value)).length;
          }
        }
      }
    }
  }
  t.true(places > 10_000, `${places} values were no finite numbers`);
});
