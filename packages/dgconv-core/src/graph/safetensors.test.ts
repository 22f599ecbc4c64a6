import test from 'ava';
import fc from 'fast-check';
import { bytesInMemory } from '../bytes/byte-source.js';
import { DgconvError, InvalidInputError } from '../errors.js';
import { randomModel } from '../testing/random-model.js';
import { interpret } from './interpret.js';
import { randomFeeds } from '../testing/random-model.js';
import { encodeGraph } from './graph-json.js';
import { readModel, writeModel } from './model-file.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';
import { storedNames } from './sources.js';

const joined = (chunks: Iterable<Uint8Array>): Uint8Array =>
  Uint8Array.from([...chunks].flatMap((chunk) => [...chunk]));
const fileOf = (header: unknown, data: Uint8Array | number = 0): Uint8Array => {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const body = typeof data === 'number' ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
};
const read = (bytes: Uint8Array) => readSafetensors(bytesInMemory(bytes, 'file'));

test('tensors and metadata come back to the bit, whatever their names', (t) => {
  const tensor = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }).chain((shape) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return fc
      .array(fc.float({ noDefaultInfinity: false }), { minLength: length, maxLength: length })
      .map((values) => ({ shape, values: Float32Array.from(values) }));
  });
  const names = fc.string().filter((name) => name !== '__metadata__');
  fc.assert(
    fc.property(
      fc.array(fc.tuple(names, tensor), { maxLength: 5 }),
      fc.dictionary(fc.string(), fc.string()),
      (entries, metadata) => {
        const tensors = [...new Map(entries)];
        const bytes = joined(
          writeSafetensors(
            tensors.map(([name, { shape, values }]) => ({ name, shape, read: () => values })),
            metadata,
          ),
        );
        t.is(new DataView(bytes.buffer).getUint32(0, true) % 8, 0);
        const file = read(bytes);
        t.deepEqual({ ...file.metadata }, { ...metadata });
        t.deepEqual([...file.weights.names].sort(), tensors.map(([name]) => name).sort());
        for (const [name, { shape, values }] of tensors) {
          t.deepEqual(file.weights.shape(name), shape);
          t.deepEqual(file.weights.read(name), values);
        }
      },
    ),
    { seed: 1 },
  );
});

test('numbers of every format become float32', (t) => {
  const formats: [string, number[], ArrayBuffer][] = [
    ['F64', [0.5, -3], Float64Array.of(0.5, -3).buffer],
    ['F16', [1, -0.5, 65504, 2 ** -24, Infinity], Uint16Array.of(0x3c00, 0xb800, 0x7bff, 1, 0x7c00).buffer],
    ['BF16', [1, -2.5], Uint16Array.of(0x3f80, 0xc020).buffer],
    ['I64', [-1, 7], BigInt64Array.of(-1n, 7n).buffer],
    ['I32', [-5], Int32Array.of(-5).buffer],
    ['U8', [255, 0], Uint8Array.of(255, 0).buffer],
    ['BOOL', [1, 0], Uint8Array.of(1, 0).buffer],
  ];
  for (const [dtype, values, buffer] of formats) {
    const header = { a: { dtype, shape: [values.length], data_offsets: [0, buffer.byteLength] } };
    t.deepEqual([...read(fileOf(header, new Uint8Array(buffer))).weights.read('a')], values, dtype);
  }
});

test('broken files are refused in one sentence', (t) => {
  const refused = (bytes: Uint8Array, message: string): void => {
    t.throws(() => read(bytes), { instanceOf: InvalidInputError, message });
  };
  const f32 = (shape: number[], begin: number, end: number) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });
  refused(new Uint8Array(3), 'file: 3 bytes are too few for a .safetensors file');
  refused(
    new TextEncoder().encode('not a checkpoint'),
    'file: no .safetensors file: it claims a header of 7521891404167279000 bytes, the file has 16',
  );
  refused(fileOf({ a: f32([2], 0, 8) }, 7), "file: tensor 'a' (F32 [2]) has bytes 0 to 8 of 7, it needs 8");
  refused(fileOf({ a: f32([2], 0, 4) }, 8), "file: tensor 'a' (F32 [2]) has bytes 0 to 4 of 8, it needs 8");
  refused(
    fileOf({ a: f32([1], 0, 4), b: f32([1], 2, 6) }, 8),
    "file: tensor 'b' starts at byte 2, the one before ends at 4",
  );
  refused(fileOf({ a: f32([1], 0, 4) }, 8), 'file: 4 bytes belong to no tensor');
  refused(fileOf({ a: f32([-1], 0, 4) }, 4), "file: tensor 'a' has shape [-1]: dimensions are non-negative integers");
  refused(
    fileOf({ a: { ...f32([1], 0, 4), dtype: 'F8_E4M3' } }, 4),
    'file.a.dtype: "F8_E4M3" is none of F64, F32, F16, BF16, I64, I32, I16, I8, U16, U8, BOOL',
  );
  refused(fileOf('[1]'), 'file: an object is needed, not a list');
  refused(fileOf({ __metadata__: { a: 1 } }), 'file.__metadata__.a: a string is needed, not 1');
});

test('a random model written and read back is equal and computes the same', (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.boolean(), (seed, integers) => {
      const model = randomModel(seed, { integers });
      const extra = { name: 'optimiser.step', shape: [1], read: () => Float32Array.of(3) };
      const bytes = joined(writeModel(model, { tensors: [extra], metadata: { note: 'kept' } }));
      const back = readModel(bytesInMemory(bytes, 'model'));
      t.is(encodeGraph(back.graph), encodeGraph(model.graph));
      t.deepEqual({ ...back.metadata }, { note: 'kept' });
      t.deepEqual([...back.weights.read('optimiser.step')], [3]);
      for (const name of storedNames(model.graph)) t.deepEqual(back.weights.read(name), model.weights.read(name));
      const feeds = randomFeeds(model.graph, seed, { integers });
      t.deepEqual(interpret(back, feeds), interpret(model, feeds));
    }),
    { numRuns: 60, seed: 1 },
  );
});

test('no mutation of a model file does anything but open or be refused', (t) => {
  const originals = [1, 2, 3, 5, 8].map((seed) => joined(writeModel(randomModel(seed))));
  const mutation = fc.record({
    original: fc.constantFrom(...originals),
    edits: fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.nat(255)), {
      minLength: 1,
      maxLength: 4,
    }),
    cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 4 }),
  });
  fc.assert(
    fc.property(mutation, ({ original, edits, cut }) => {
      const bytes = original.slice(0, cut === null ? original.length : Math.floor(cut * original.length));
      const headerEnd = Math.min(bytes.length, 8 + new DataView(original.buffer).getUint32(0, true));
      if (bytes.length > 0) for (const [at, value] of edits) bytes[Math.floor(at * headerEnd)] = value;
      try {
        const model = readModel(bytesInMemory(bytes, 'model'));
        for (const name of model.weights.names) model.weights.read(name);
      } catch (error) {
        if (!(error instanceof DgconvError)) throw error;
      }
    }),
    { numRuns: 1500, seed: 1 },
  );
  t.pass();
});

test('a file without a graph, or with a graph whose tensors are missing, is refused by name', (t) => {
  t.throws(() => readModel(bytesInMemory(joined(writeSafetensors([])), 'w.safetensors')), {
    instanceOf: InvalidInputError,
    message: "w.safetensors: a .safetensors file without a graph (its metadata lack 'dgconv.graph')",
  });
  const { graph } = randomModel(4, { ops: ['conv2d'], size: 1, connectivities: ['dense'] });
  const bytes = joined(writeSafetensors([], { 'dgconv.graph': encodeGraph(graph) }));
  t.throws(() => readModel(bytesInMemory(bytes, 'm')), {
    instanceOf: InvalidInputError,
    message: /^m: .* missing: 'n0\./,
  });
});
