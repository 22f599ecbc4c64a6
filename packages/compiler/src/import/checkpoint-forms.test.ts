import { bytesInMemory, InvalidInputError, mapSource } from '@dgconv/core';
import test from 'ava';
import { withoutPrefix, withPlainNames } from './checkpoint-names.js';
import { checkpoint, legacyCheckpoint, p, tensor } from './testing/torch-bytes.js';
import { openTorchCheckpoint } from './torch.js';

const four = { 0: Float32Array.of(1, 2, 3, 4) };
const w = tensor({ values: 4, shape: [2], strides: [1] });
const shifted = tensor({ values: 4, offset: 2, shape: [2], strides: [1] });
const open = (root: Uint8Array) => openTorchCheckpoint(bytesInMemory(checkpoint(root, four), 'net.pth'));

const called = (module: string, name: string, ...parameters: Uint8Array[]): Uint8Array =>
  p.concat(p.global(module, name), p.tuple(...parameters), p.ascii('R'));
const instance = (module: string, name: string, state: Uint8Array): Uint8Array =>
  p.concat(p.global(module, name), p.ascii(')'), p.op(0x81), state, p.ascii('b'));
/** A pickled `torch.nn.Module`. */
const module = (
  name: string,
  parts: Partial<Record<'parameters' | 'buffers' | 'modules', Record<string, Uint8Array>>>,
) =>
  instance(
    'nets',
    name,
    p.dictionary({
      training: p.op(0x89),
      _parameters: p.dictionary(parts.parameters ?? {}),
      _buffers: p.dictionary(parts.buffers ?? {}),
      _non_persistent_buffers_set: called(
        'builtins',
        'set',
        p.concat(p.ascii(']('), p.string('scratch'), p.ascii('e')),
      ),
      _modules: p.dictionary(parts.modules ?? {}),
    }),
  );

test('a tensor beside the state_dict, such as the best accuracy, is not taken for it', (t) => {
  const best = tensor({ values: 4, shape: [], strides: [] });
  const weights = open(p.dictionary({ best_acc1: best, state_dict: p.dictionary({ 'module.a': w, 'module.b': w }) }));
  t.deepEqual(weights.names, ['a', 'b']);
});

test('options, scores, paths and dates beside the state_dict are passed over', (t) => {
  const type = p.concat(
    called('numpy', 'dtype', p.string('f8'), p.op(0x89), p.op(0x88)),
    p.tuple(p.count(3), p.string('<')),
    p.ascii('b'),
  );
  const score = called(
    'numpy._core.multiarray',
    'scalar',
    type,
    called('_codecs', 'encode', p.string('x'), p.string('latin1')),
  );
  const weights = open(
    p.dictionary({
      args: instance('argparse', 'Namespace', p.dictionary({ lr: p.count(1) })),
      best: score,
      out: called('pathlib', 'PosixPath', p.string('runs')),
      seen: called('builtins', 'set', p.ascii(']')),
      counts: p.concat(
        called('collections', 'defaultdict', p.global('builtins', 'int')),
        p.string('a'),
        p.count(1),
        p.ascii('s'),
      ),
      dtype: p.global('torch', 'float32'),
      state_dict: p.dictionary({ a: w }),
    }),
  );
  t.deepEqual([...weights.read('a')], [1, 2]);
});

test('a whole module is read as its state_dict, in both formats', (t) => {
  const net = module('Net', {
    modules: {
      stem: module('Stem', { parameters: { weight: w, bias: p.ascii('N') }, buffers: { mean: shifted, scratch: w } }),
      none: p.ascii('N'),
    },
  });
  for (const root of [net, p.dictionary({ epoch: p.count(1), net })]) {
    const weights = open(root);
    t.deepEqual(weights.names, ['stem.weight', 'stem.mean']);
    t.deepEqual([...weights.read('stem.mean')], [3, 4]);
  }
  const parallel = module('DataParallel', { modules: { module: net } });
  t.deepEqual(open(parallel).names, ['stem.weight', 'stem.mean']);

  // The older format has a persistent id for each class, with the source that PyTorch warned about when it had changed.
  const old = (module: string, name: string): Uint8Array =>
    p.concat(
      p.tuple(p.string('module'), p.global(module, name), p.string('nets.py'), p.string('class …')),
      p.ascii('Q'),
    );
  const state = { _parameters: p.dictionary({ weight: w }), _buffers: p.dictionary({}), _modules: p.dictionary({}) };
  const root = p.concat(old('nets', 'Net'), p.ascii(')'), p.op(0x81), p.dictionary(state), p.ascii('b'));
  const weights = openTorchCheckpoint(bytesInMemory(legacyCheckpoint(root, [['0', 4, four[0]]]), 'net.pth'));
  t.deepEqual([...weights.read('weight')], [1, 2]);
});

test('a parameter with attributes is a tensor', (t) => {
  const state = p.dictionary({ org: w });
  const hooks = called('collections', 'OrderedDict');
  const root = p.dictionary({
    a: called('torch._utils', '_rebuild_parameter_with_state', w, p.op(0x88), hooks, state),
    b: called(
      'torch._tensor',
      '_rebuild_from_type_v2',
      p.global('torch._utils', '_rebuild_parameter'),
      p.global('torch.nn.parameter', 'Parameter'),
      p.tuple(shifted, p.op(0x88), hooks),
      state,
    ),
  });
  t.deepEqual([...open(root).read('a')], [1, 2]);
  t.deepEqual([...open(root).read('b')], [3, 4]);
  t.throws(
    () => open(p.dictionary({ a: called('torch._tensor', '_rebuild_from_type_v2', p.global('os', 'system')) })),
    {
      instanceOf: InvalidInputError,
      message: 'net.pth: a tensor with attributes is made of something that is no tensor',
    },
  );
});

/** Tensors of one value each, under these names. */
const source = (values: Record<string, number>) =>
  mapSource(
    new Map(Object.entries(values).map(([name, value]) => [name, { shape: [1], values: Float32Array.of(value) }])),
  );

test('what wraps a module leaves no trace in the names', (t) => {
  t.deepEqual(
    withPlainNames(source({ n_averaged: 1, 'module._orig_mod.a.w': 2, 'features.module.b.w': 3, 'module_list.0.w': 4 }))
      .names,
    ['n_averaged', 'a.w', 'features.b.w', 'module_list.0.w'],
  );
  t.deepEqual(withPlainNames(source({ 'module.a': 1, a: 2 })).names, ['module.a', 'a'], 'they would clash');
});

test('a weight that torch.nn.utils.prune masks is the product', (t) => {
  const weights = withPlainNames(source({ 'module.c.weight_orig': 3, 'module.c.weight_mask': 0.5, 'c._mask': 7 }));
  t.deepEqual(weights.names, ['c.weight', 'c._mask']);
  t.deepEqual([...weights.read('c.weight')], [1.5]);
  t.deepEqual(weights.shape('c.weight'), [1]);
});

test('a prefix goes if all that is needed has it', (t) => {
  const lightning = source({ 'model.a.w': 1, 'model.b.w': 2, 'loss.a.w': 3 });
  const weights = withoutPrefix(lightning, ['a.w', 'b.w']);
  t.deepEqual(weights.names, ['a.w', 'b.w']);
  t.deepEqual([...weights.read('a.w')], [1]);
  t.is(withoutPrefix(lightning, ['a.w', 'c.w']), lightning);
  t.is(withoutPrefix(lightning, ['model.a.w']), lightning);
});
