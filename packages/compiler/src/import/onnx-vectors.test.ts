import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { elementCount, interpret, InvalidInputError, UnsupportedError } from '@dgconv/core';
import test from 'ava';
import { decodeOnnx } from './onnx-file.js';
import { importOnnx } from './onnx.js';
import { decodeOnnxTensor, isFloatType, type OnnxTensor } from './onnx-tensor.js';

const folder = '/usr/share/libonnx-testdata/data';
const present = existsSync(folder);

/** Vectors that we read as they are meant, and the recorded output is something else. */
const others: Readonly<Record<string, string>> = {
  test_resize_downsample_scales_linear_align_corners:
    'the vector takes the fractional size 2.4 for the last pixel, no runtime does',
};

/** 16-bit floats are kept in integers of their bits by these vectors, which we have no integers for. */
const isBfloat16 = (name: string): boolean => name.includes('BFLOAT16');

/** `[N, C, H, W]` → `[N, H, W, C]`; other ranks stay. */
function channelsLast({ shape }: OnnxTensor, values: ArrayLike<number>): number[] {
  if (shape.length !== 4) return Array.from(values);
  const [batch = 1, channels = 1, height = 1, width = 1] = shape;
  const result: number[] = [];
  for (let n = 0; n < batch; n++)
    for (let pixel = 0; pixel < height * width; pixel++)
      for (let c = 0; c < channels; c++) result.push(values[(n * channels + c) * height * width + pixel]!);
  return result;
}

/** Null where all outputs agree, else a sentence; throws what the importer throws. */
function compare(path: string): string | null {
  const bytes = readFileSync(`${path}/model.onnx`);
  const { graph } = decodeOnnx(bytes);
  const tensor = (file: string): OnnxTensor => decodeOnnxTensor(readFileSync(`${path}/test_data_set_0/${file}.pb`));
  const given = graph.inputs
    .filter(({ name }) => !graph.initializers.has(name))
    .map(({ name }, index): [string, OnnxTensor] => [name, tensor(`input_${index}`)]);
  // The first input is the network's, the others are weights and lists that exporters write as constants.
  const isConstant = ([, { elementType }]: [string, OnnxTensor], index: number): boolean =>
    index > 0 || !isFloatType(elementType);
  const model = importOnnx(bytes, { constants: new Map(given.filter(isConstant)) });
  const feeds = Object.fromEntries(
    given
      .filter((entry, index) => !isConstant(entry, index))
      .map(([name, input]) => [name, channelsLast(input, input.read())]),
  );
  const outputs = interpret(model, feeds);
  for (const [index, { name }] of graph.outputs.entries()) {
    const expected = tensor(`output_${index}`);
    const values = channelsLast(expected, expected.read());
    const actual = outputs[name]!;
    if (actual.length !== elementCount(expected.shape)) return `output '${name}' has ${actual.length} values`;
    // The standard's own tolerance.
    const wrong = values.findIndex(
      (want, place) =>
        want !== actual[place] &&
        !(Number.isNaN(want) && Number.isNaN(actual[place])) &&
        !(Math.abs(actual[place]! - want) <= 1e-7 + 1e-3 * Math.abs(want)),
    );
    if (wrong >= 0) return `output '${name}' has ${actual[wrong]} at ${wrong}, not ${values[wrong]}`;
  }
  return null;
}

for (const [suite, atLeast] of [
  ['node', 390],
  ['pytorch-converted', 67],
  ['pytorch-operator', 34],
  ['simple', 5],
] as const) {
  const title = `the interpreter gives the outputs of ONNX's '${suite}' vectors, or the importer says why not`;
  if (!present) {
    test.skip(`${title} (skipped: Debian's libonnx-testdata is absent)`, () => {});
    continue;
  }
  test(title, (t) => {
    let passed = 0;
    for (const name of readdirSync(`${folder}/${suite}`)) {
      const path = `${folder}/${suite}/${name}`;
      if (!existsSync(`${path}/test_data_set_0`) || isBfloat16(name)) continue;
      try {
        const difference = compare(path);
        if (others[name] === undefined) t.is(difference, null, name);
        passed += difference === null ? 1 : 0;
      } catch (error) {
        t.true(error instanceof UnsupportedError || error instanceof InvalidInputError, `${name}: ${String(error)}`);
      }
    }
    t.true(passed >= atLeast, `${passed} of at least ${atLeast} vectors agree`);
  });
}
