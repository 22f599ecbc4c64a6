import { DgconvError, elementCount, inferShapes, InvalidInputError, UnsupportedError } from '@dgconv/core';
import test from 'ava';
import fc from 'fast-check';
import { crc32c } from './crc32c.js';
import { decodeEdge } from './edge-decode.js';
import { encodeEdge } from './edge-encode.js';
import { EdgeSession } from './session.js';
import { testEngines } from './testing/engines.js';
import { RandomModel } from './testing/random-model.js';

const fileOf = (seed: number): Uint8Array =>
  encodeEdge(new RandomModel({ seed, nodes: 1 + (seed % 6), exact: true }).model);

/** A copy whose checksum is right again after `change`, so that what is behind it is read. */
function changed(bytes: Uint8Array, change: (copy: Uint8Array, view: DataView) => void): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const view = new DataView(copy.buffer);
  change(copy, view);
  view.setUint32(8, crc32c(copy.subarray(16)), true);
  return copy;
}

test('the header is what the contract says', (t) => {
  const bytes = fileOf(1);
  const view = new DataView(bytes.buffer);
  t.is(new TextDecoder().decode(bytes.subarray(0, 4)), 'DGCE');
  t.is(view.getUint32(4, true), 0x10000);
  t.is(view.getUint32(8, true), crc32c(bytes.subarray(16)));
  t.is(view.getUint32(12, true), 0);
  t.is(view.getBigUint64(16, true), BigInt(bytes.length));
});

test('the same model gives the same bytes', (t) => {
  for (let seed = 0; seed < 10; seed++) t.deepEqual(Buffer.from(fileOf(seed)), Buffer.from(fileOf(seed)));
});

test('a damaged byte is noticed by the checksum', async (t) => {
  const bytes = Uint8Array.from(fileOf(2));
  bytes[bytes.length - 1]! ^= 1;
  t.throws(() => decodeEdge(bytes), { instanceOf: InvalidInputError, message: /checksum/ });
  for (const engine of testEngines)
    await t.throwsAsync(EdgeSession.load(bytes, { engine }), { instanceOf: InvalidInputError, message: /checksum/ });
});

test('versions, flags, features and sections that are unknown are refused unless they are optional', async (t) => {
  const bytes = fileOf(3);
  const cases: [RegExp, (copy: Uint8Array, view: DataView) => void][] = [
    [/version 2\.0/, (_, view) => view.setUint32(4, 0x20000, true)],
    [/flags/, (_, view) => view.setUint32(12, 1, true)],
    [/features/, (_, view) => view.setBigUint64(24, 4n, true)],
    [/unknown kind 99/, (_, view) => view.setUint32(64, 99, true)],
  ];
  for (const [message, change] of cases) {
    const wrong = changed(bytes, change);
    t.throws(() => decodeEdge(wrong), { instanceOf: UnsupportedError, message });
    for (const engine of testEngines)
      await t.throwsAsync(EdgeSession.load(wrong, { engine }), { instanceOf: UnsupportedError, message });
  }
  const view = new DataView(bytes.buffer);
  const metadata = [0, 1, 2, 3, 4, 5].find((index) => view.getUint32(64 + 24 * index, true) === 5)!;
  const renamed = changed(bytes, (_, copy) => copy.setUint32(64 + 24 * metadata, 77, true));
  t.notThrows(() => decodeEdge(renamed));
  for (const engine of testEngines) (await EdgeSession.load(renamed, { engine })).dispose();
});

test('test vectors that do not fill their section, or have no tolerance, are refused by the codec and by every engine', async (t) => {
  const { model } = new RandomModel({ seed: 1, nodes: 2, exact: true });
  const shapes = inferShapes(model.graph);
  const zeros = (value: string) => new Float32Array(elementCount(shapes.get(value)!));
  const vector = {
    inputs: Object.fromEntries(model.graph.inputs.map(({ name }) => [name, zeros(name)])),
    outputs: Object.fromEntries(model.graph.outputs.map(({ name, value }) => [name, zeros(value)])),
  };
  const bytes = encodeEdge(model, { testVectors: [vector, vector] });
  const section = (view: DataView) => {
    const index = [0, 1, 2, 3, 4, 5, 6].find((at) => view.getUint32(64 + 24 * at, true) === 6)!;
    return Number(view.getBigUint64(64 + 24 * index + 8, true));
  };
  t.notThrows(() => decodeEdge(bytes));
  const cases: [RegExp, (copy: Uint8Array, view: DataView) => void][] = [
    [/1 vectors of \d+ values do not fill$/, (_, view) => view.setUint32(section(view), 1, true)],
    [/3 vectors of \d+ values do not fill$/, (_, view) => view.setUint32(section(view), 3, true)],
    [/a tolerance of the test vectors/, (_, view) => view.setFloat32(section(view) + 8, -1, true)],
    [/a tolerance of the test vectors/, (_, view) => view.setFloat32(section(view) + 12, Number.NaN, true)],
  ];
  for (const [message, change] of cases) {
    const wrong = changed(bytes, change);
    t.throws(() => decodeEdge(wrong), { instanceOf: InvalidInputError, message });
    for (const engine of testEngines)
      await t.throwsAsync(EdgeSession.load(wrong, { engine }), { instanceOf: InvalidInputError, message });
  }
});

test('a file that is cut off anywhere is refused', async (t) => {
  const bytes = fileOf(4);
  for (let length = 0; length < bytes.length; length += 1 + (length >> 5)) {
    const cut = bytes.subarray(0, length);
    t.throws(() => decodeEdge(cut), { instanceOf: DgconvError });
    for (const engine of testEngines)
      await t.throwsAsync(EdgeSession.load(cut, { engine }), { instanceOf: DgconvError });
  }
});

test('a mutated file is read or refused with an error of ours, by the codec and by every engine', async (t) => {
  const files = Array.from({ length: 12 }, (_, seed) => fileOf(seed));
  const mutation = fc.record({
    place: fc.nat(),
    word: fc.oneof(fc.nat(40), fc.nat(0xffffffff), fc.constant(0xffffffff)),
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(11), fc.array(mutation, { minLength: 1, maxLength: 3 }), async (index, mutations) => {
      const bytes = changed(files[index]!, (_, view) => {
        for (const { place, word } of mutations)
          view.setUint32(16 + 4 * (place % ((view.byteLength - 16) >> 2)), word, true);
      });
      let isDecoded = false;
      try {
        decodeEdge(bytes);
        isDecoded = true;
      } catch (error) {
        if (!(error instanceof DgconvError)) throw error;
      }
      for (const engine of testEngines) {
        try {
          (await EdgeSession.load(bytes, { engine, memoryLimit: 2 ** 26 })).dispose();
        } catch (error) {
          if (!(error instanceof DgconvError)) throw error;
          if (isDecoded && !/name|limit/.test(error.message))
            throw new Error(`only the codec reads it: ${error.message}`);
        }
      }
    }),
    { numRuns: 400, seed: 7 },
  );
  t.pass();
});

test('metadata survive, and a file without names or preprocessing reads as such', (t) => {
  const { model } = new RandomModel({ seed: 5, nodes: 3, exact: true });
  const metadata = {
    name: 'net',
    preprocessing: {
      resizeShorterSide: 256,
      colour: 'rgb' as const,
      mean: [0.485, 0.456, 0.406],
      standardDeviation: [0.229, 0.224, 0.225],
    },
    classNames: ['Katze', '犬'],
    sourceHash: 'ab',
    producer: 'test',
  };
  const nodes = model.graph.nodes.map((node, index) => ({ ...node, origin: index === 0 ? ['a', 'b'] : node.origin }));
  const graph = { ...model.graph, metadata, nodes };
  const decoded = decodeEdge(encodeEdge({ ...model, graph })).graph;
  t.deepEqual(decoded.metadata, metadata);
  t.deepEqual(decoded.nodes[0]!.origin, ['a', 'b']);
  t.deepEqual(decodeEdge(encodeEdge(model)).graph.metadata, model.graph.metadata);
});

test('a network that was not compiled is refused with the node named', (t) => {
  const { model } = new RandomModel({ seed: 0, nodes: 1, exact: true });
  const node = {
    id: 'learned',
    op: 'conv2d',
    inputs: ['input'],
    attrs: {
      kernelSize: [1, 1],
      strides: [1, 1],
      dilations: [1, 1],
      padding: { top: 0, bottom: 0, left: 0, right: 0 },
      connectivity: { kind: 'learned', rule: 'dgconv', channelsOut: 4, channelsIn: model.graph.inputs[0]!.shape[3]! },
      pre: 'none',
      activation: { function: 'identity' },
    },
    weights: { kernel: { kind: 'fill', shape: [4, model.graph.inputs[0]!.shape[3]!, 1, 1], value: 1 } },
    origin: [],
  } as const;
  const graph = { ...model.graph, nodes: [node], outputs: [{ name: 'y', value: 'learned' }] };
  t.throws(() => encodeEdge({ ...model, graph }), {
    instanceOf: UnsupportedError,
    message: /compile the network first/,
  });
});
