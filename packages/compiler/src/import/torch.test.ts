import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bytesInMemory, DgconvError, InvalidInputError } from '@dgconv/core';
import { openByteSource } from '@dgconv/core/node';
import test from 'ava';
import fc from 'fast-check';
import { zipSync } from 'fflate';
import { checkpoint, legacyCheckpoint, p, tensor } from './testing/torch-bytes.js';
import { openTorchCheckpoint } from './torch.js';

const reference = (name: string): string =>
  fileURLToPath(new URL(`../../../../../../shared/reference/${name}`, import.meta.url));

const open = (bytes: Uint8Array) => openTorchCheckpoint(bytesInMemory(bytes, 'net.pth'));

for (const [name, tensors] of [
  ['g_resnet_tiny', 116],
  ['condensenet_tiny', 68],
] as const) {
  (existsSync(reference(`${name}.pth`)) ? test : test.skip)(
    `the public ${name}.pth opens with all of its tensors`,
    (t) => {
      const weights = openTorchCheckpoint(openByteSource(reference(`${name}.pth`)));
      t.is(weights.names.length, tensors);
      for (const key of weights.names) {
        const size = weights.shape(key).reduce((product, extent) => product * extent, 1);
        const values = weights.read(key);
        t.is(values.length, size);
        t.true(values.every(Number.isFinite), key);
      }
    },
  );
}

(existsSync(reference('g_resnet_tiny.json')) ? test : test.skip)(
  'the gates of g_resnet_tiny.pth are the documented ones',
  (t) => {
    const golden = JSON.parse(readFileSync(reference('g_resnet_tiny.json'), 'utf8')) as {
      gates: Record<string, number[]>;
    };
    const weights = openTorchCheckpoint(openByteSource(reference('g_resnet_tiny.pth')));
    for (const [name, gates] of Object.entries(golden.gates)) t.deepEqual([...weights.read(name)], gates);
  },
);

test('stored and deflated archives give the same tensors', (t) => {
  const values = Float32Array.of(1, 2, 3, 4, 5, 6);
  const root = p.dictionary({ w: tensor({ values: 6, shape: [2, 3], strides: [3, 1] }) });
  for (const level of [0, 6] as const) {
    const weights = open(checkpoint(root, { 0: values }, level));
    t.deepEqual(weights.shape('w'), [2, 3]);
    t.deepEqual([...weights.read('w')], [1, 2, 3, 4, 5, 6]);
  }
});

test('transposed, offset and shared windows of one storage are read by their strides', (t) => {
  const values = Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7);
  const weights = open(
    checkpoint(
      p.dictionary({
        transposed: tensor({ values: 8, shape: [3, 2], strides: [1, 3] }),
        offset: tensor({ values: 8, offset: 5, shape: [3], strides: [1] }),
        everySecond: tensor({ values: 8, offset: 1, shape: [3, 1], strides: [2, 9] }),
        scalar: tensor({ values: 8, offset: 7, shape: [], strides: [] }),
        empty: tensor({ values: 8, shape: [0, 3], strides: [3, 1] }),
      }),
      { 0: values },
    ),
  );
  t.deepEqual([...weights.read('transposed')], [0, 3, 1, 4, 2, 5]);
  t.deepEqual([...weights.read('offset')], [5, 6, 7]);
  t.deepEqual([...weights.read('everySecond')], [1, 3, 5]);
  t.deepEqual([...weights.read('scalar')], [7]);
  t.deepEqual([...weights.read('empty')], []);
});

test('numbers of every format become float32', (t) => {
  const cases: readonly [string, ArrayBufferView, readonly number[]][] = [
    ['DoubleStorage', Float64Array.of(1.5, -2), [1.5, -2]],
    ['HalfStorage', Uint16Array.of(0x3e00, 0xc000, 0x0001, 0x7c00), [1.5, -2, 2 ** -24, Infinity]],
    ['BFloat16Storage', Uint16Array.of(0x3fc0, 0xc000), [1.5, -2]],
    ['LongStorage', BigInt64Array.of(7n, -2n), [7, -2]],
    ['IntStorage', Int32Array.of(7, -2), [7, -2]],
    ['ShortStorage', Int16Array.of(7, -2), [7, -2]],
    ['CharStorage', Int8Array.of(7, -2), [7, -2]],
    ['ByteStorage', Uint8Array.of(7, 254), [7, 254]],
    ['BoolStorage', Uint8Array.of(1, 0), [1, 0]],
  ];
  for (const [storage, data, expected] of cases) {
    const values = expected.length;
    const root = p.dictionary({ w: tensor({ storage, values, shape: [values], strides: [1] }) });
    t.deepEqual([...open(checkpoint(root, { 0: data })).read('w')], [...expected], storage);
  }
});

test('a state_dict within a checkpoint is found, and the prefix of DataParallel removed', (t) => {
  const w = tensor({ values: 1, shape: [1], strides: [1] });
  for (const key of ['state_dict', 'model_state_dict', 'model', 'net']) {
    const root = p.dictionary({ epoch: p.count(3), [key]: p.dictionary({ 'module.a.w': w, 'module.b.w': w }) });
    t.deepEqual(open(checkpoint(root, { 0: Float32Array.of(4) })).names, ['a.w', 'b.w']);
  }
});

test('a parameter and a state_dict with metadata are read like tensors', (t) => {
  const parameter = p.concat(
    p.global('torch._utils', '_rebuild_parameter'),
    p.tuple(tensor({ values: 1, shape: [1], strides: [1] }), p.op(0x88), p.ascii('N')),
    p.ascii('R'),
  );
  const root = p.concat(
    p.global('collections', 'OrderedDict'),
    p.ascii(')R'),
    p.string('w'),
    parameter,
    p.ascii('s'),
    p.dictionary({ _metadata: p.ascii('N') }),
    p.ascii('b'),
  );
  t.deepEqual([...open(checkpoint(root, { 0: Float32Array.of(4) })).read('w')], [4]);
});

test('the format before PyTorch 1.6 is read', (t) => {
  const root = p.dictionary({
    a: tensor({ key: 'x', values: 3, shape: [3], strides: [1] }, [p.ascii('N')]),
    b: tensor({ key: 'y', storage: 'LongStorage', values: 1, shape: [], strides: [] }, [p.ascii('N')]),
  });
  const bytes = legacyCheckpoint(root, [
    ['y', 1, BigInt64Array.of(9n)],
    ['x', 3, Float32Array.of(1, 2, 3)],
  ]);
  const weights = open(bytes);
  t.deepEqual([...weights.read('a')], [1, 2, 3]);
  t.deepEqual([...weights.read('b')], [9]);
  t.throws(() => open(bytes.subarray(0, bytes.length - 1)), {
    instanceOf: InvalidInputError,
    message: 'net.pth is truncated within the storage x',
  });
});

const rejected = test.macro({
  exec(t, make: () => Uint8Array, message: string) {
    t.throws(() => open(make()), { instanceOf: InvalidInputError, message });
  },
  title: (name = '') => `${name} is rejected in one sentence`,
});

const w = tensor({ values: 4, shape: [4], strides: [1] });
const four = { 0: new Float32Array(4) };

test(
  'a global that runs code',
  rejected,
  () => checkpoint(p.concat(p.global('os', 'system'), p.tuple(p.string('true')), p.ascii('R')), {}),
  'net.pth: the pickle asks for the global os.system; only tensors and plain containers are allowed, so save model.state_dict()',
);
test(
  'an attribute of a global that is called',
  rejected,
  () => {
    const attribute = p.concat(
      p.global('builtins', 'getattr'),
      p.tuple(p.global('os', 'x'), p.string('system')),
      p.ascii('R'),
    );
    return checkpoint(p.concat(attribute, p.tuple(p.string('true')), p.ascii('R')), {});
  },
  'net.pth: the pickle calls something that is no global',
);
test(
  'an instance of a class that is no module',
  rejected,
  () => checkpoint(p.dictionary({ w, x: p.concat(p.global('subprocess', 'Popen'), p.tuple(), p.op(0x81)) }), four),
  'net.pth: the pickle asks for the global subprocess.Popen; only tensors and plain containers are allowed, so save model.state_dict()',
);
test(
  'a module that holds itself',
  rejected,
  () => {
    // Memoised, so that it can name itself among its modules.
    const self = p.concat(p.global('nets', 'Net'), p.ascii(')'), p.op(0x81), p.ascii('q'), p.op(7));
    const state = p.dictionary({
      _parameters: p.dictionary({}),
      _buffers: p.dictionary({}),
      _modules: p.dictionary({ again: p.concat(p.ascii('h'), p.op(7)) }),
    });
    return checkpoint(p.concat(self, state, p.ascii('b')), {});
  },
  'net.pth holds no state_dict, but a single value; tensors are looked for at the top and under state_dict, model_state_dict, model, net, module, state_dict_ema, ema',
);
test(
  'an opcode that makes instances of old classes',
  rejected,
  () => checkpoint(p.ascii('(i__main__\nNet\n'), {}),
  'net.pth: the pickle has the opcode 0x69 at byte 3, which plain data does not need',
);
test(
  'a tensor that passes the end of its storage',
  rejected,
  () => checkpoint(p.dictionary({ w: tensor({ values: 4, offset: 1, shape: [4], strides: [1] }) }), four),
  'net.pth: a tensor of shape [4], strides [1] and offset 1 does not fit its storage of 4 values',
);
test(
  'a tensor that claims more values than its storage has',
  rejected,
  () => checkpoint(p.dictionary({ w: tensor({ values: 4, shape: [2 ** 30, 8], strides: [0, 0] }) }), four),
  'net.pth: a tensor of shape [1073741824, 8], strides [0, 0] and offset 0 does not fit its storage of 4 values',
);
test(
  'a checkpoint without tensors',
  rejected,
  () => checkpoint(p.dictionary({ epoch: p.count(3) }), {}),
  'net.pth holds no state_dict, but a dictionary with the keys epoch; tensors are looked for at the top and under state_dict, model_state_dict, model, net, module, state_dict_ema, ema',
);
test(
  'a text file',
  rejected,
  () => p.ascii('not a checkpoint'),
  "net.pth is no PyTorch checkpoint: it is neither a zip archive nor starts with PyTorch's magic number",
);
test(
  'a zip archive of something else',
  rejected,
  () => zipSync({ 'a.txt': p.ascii('a') }),
  'net.pth: the zip archive has no data.pkl, so it is no PyTorch checkpoint',
);
test(
  'a TorchScript archive',
  rejected,
  () => zipSync({ 'net/data.pkl': p.file(p.dictionary({})), 'net/constants.pkl': p.file(p.tuple()) }),
  'net.pth is a TorchScript archive; save model.state_dict() instead',
);
test(
  'a truncated archive',
  rejected,
  () => checkpoint(p.dictionary({ w }), four).subarray(0, 200),
  'net.pth: the zip archive has no end record, so the file is truncated or no zip archive',
);

test('a storage that is missing or of another size is named when its tensor is read', (t) => {
  t.throws(() => open(checkpoint(p.dictionary({ w }), {})).read('w'), {
    instanceOf: InvalidInputError,
    message: 'net.pth: the storage 0 is missing',
  });
  t.throws(() => open(checkpoint(p.dictionary({ w }), { 0: new Float32Array(3) })).read('w'), {
    instanceOf: InvalidInputError,
    message: 'net.pth: the storage 0 has 12 bytes, but its 4 values of float32 need 16',
  });
});

test('a deflated entry that claims more than deflate can give is rejected before memory is taken', (t) => {
  const bytes = checkpoint(p.dictionary({ w }), { 0: new Float32Array(4096) }, 6);
  // The uncompressed size in the central directory, the last copy of the compressed entry's header.
  const directory = bytes.lastIndexOf(0x50, bytes.lastIndexOf(0x50) - 1);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  t.is(view.getUint32(directory, true), 0x02014b50);
  view.setUint32(directory + 24, 0xfffffffe, true);
  t.throws(() => open(bytes), {
    instanceOf: InvalidInputError,
    message: /claims 4294967294 bytes from \d+, which is too much/,
  });
});

test('no mutation of a checkpoint does anything but open or be rejected', (t) => {
  const root = p.dictionary({
    state_dict: p.dictionary({ w, b: tensor({ key: '1', values: 2, shape: [2], strides: [1] }) }),
  });
  const storages = { 0: new Float32Array(4), 1: new Float32Array(2) };
  const files = [
    checkpoint(root, storages),
    checkpoint(root, storages, 6),
    legacyCheckpoint(root, [
      ['0', 4, storages[0]],
      ['1', 2, storages[1]],
    ]),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.array(fc.tuple(fc.nat(1 << 20), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.option(fc.nat(1 << 20)),
      (file, changes, cut) => {
        const bytes = file.slice(0, cut === null ? file.length : cut % file.length);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        try {
          const weights = open(bytes);
          for (const name of weights.names) weights.read(name);
        } catch (error) {
          if (!(error instanceof DgconvError)) throw error;
        }
      },
    ),
    { numRuns: 2000, seed: 1 },
  );
  t.pass();
});
