import { PickleGlobal, PickleInstance, PickleTuple, type PickleValue } from './pickle.js';

/**
 * Globals of Python and NumPy that training scripts leave in checkpoints beside the tensors: options, best scores, dates. What they make
 * here holds nothing and does nothing, so that `getattr` gets no attribute.
 */
const makersOfNothing = [
  'argparse.Namespace',
  'types.SimpleNamespace',
  'functools.partial',
  'datetime.date',
  'datetime.datetime',
  'datetime.timedelta',
  'uuid.UUID',
  '_codecs.encode',
  ...['', '._local'].flatMap((part) =>
    ['PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath'].map((name) => `pathlib${part}.${name}`),
  ),
  ...['builtins', '__builtin__'].flatMap((module) =>
    ['complex', 'bytearray', 'slice', 'range', 'xrange', 'object', 'getattr'].map((name) => `${module}.${name}`),
  ),
  ...['core', '_core'].flatMap((part) => ['scalar', '_reconstruct'].map((name) => `numpy.${part}.multiarray.${name}`)),
  'numpy.dtype',
  'numpy.ndarray',
  'torch.device',
  'torch.torch_version.TorchVersion',
  'torch.serialization._get_layout',
];

const makersOfLists = [
  'collections.deque',
  ...['builtins', '__builtin__'].flatMap((module) =>
    ['set', 'frozenset', 'list', 'tuple'].map((name) => `${module}.${name}`),
  ),
];

const makersOfDictionaries = [
  'collections.defaultdict',
  'collections.Counter',
  ...['builtins', '__builtin__'].map((module) => `${module}.dict`),
];

/** Globals that a checkpoint may call without anything happening. */
export const inertGlobals: readonly PickleGlobal[] = [
  ...makersOfNothing.map((name) => new PickleGlobal(name, () => new PickleInstance(name))),
  ...makersOfLists.map((name) => new PickleGlobal(name, ([items]) => listOf(items))),
  ...makersOfDictionaries.map((name) => new PickleGlobal(name, () => new Map())),
];

function listOf(items: PickleValue | undefined): PickleValue[] {
  if (Array.isArray(items)) return [...items];
  return items instanceof PickleTuple ? [...items.items] : [];
}
