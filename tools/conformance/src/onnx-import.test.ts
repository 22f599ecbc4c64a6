import { emitOnnx, importOnnx } from '@dgconv/compiler';
import { inferShapes, interpret, UnsupportedError } from '@dgconv/core';
import test from 'ava';
import { difference, exactly, goldenTolerance } from './compare.js';
import { convCases } from './golden/conv-cases.js';
import { otherCases } from './golden/other-cases.js';

test('every golden case that ONNX can say is computed alike after it is written and read back', (t) => {
  let compared = 0;
  for (const { name, model, feeds, exact } of [...convCases(), ...otherCases()]) {
    let bytes: Uint8Array;
    try {
      bytes = emitOnnx(model);
    } catch (error) {
      t.true(error instanceof UnsupportedError, String(error));
      continue;
    }
    const imported = importOnnx(bytes);
    t.deepEqual(imported.graph.inputs, model.graph.inputs, name);
    const shapes = inferShapes(model.graph);
    const expected = interpret(model, feeds);
    const actual = interpret(imported, feeds);
    for (const { name: output, value } of model.graph.outputs) {
      const shape = shapes.get(value)!;
      const reference = { shape, data: expected[output]! };
      const tolerance = exact ? exactly : goldenTolerance;
      t.is(difference(reference, { shape, data: actual[output]! }, tolerance), null, name);
    }
    compared++;
  }
  t.true(compared > 250, `${compared} cases were compared`);
});
