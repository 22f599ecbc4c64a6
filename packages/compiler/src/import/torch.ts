import { type ByteSource, bytesPerValue, InvalidInputError, type WeightSource } from '@dgconv/core';
import { withPlainNames } from './checkpoint-names.js';
import { type ByteCursor, PickleTuple, type PickleValue, readPickle } from './pickle.js';
import { moduleState } from './torch-module.js';
import { tensorValues, torchScope, TorchStorage, TorchTensor } from './torch-tensor.js';
import { readZip, type ZipEntry } from './zip.js';

/** `0x1950a86a20f9469cfc6c`, the first object of a checkpoint in the format before PyTorch 1.6. */
const legacyMagic = 0x1950a86a20f9469cfc6cn;
const legacyProtocol = 1001;
/** Where training scripts put the state_dict, or the module itself, within a checkpoint, the likeliest first. */
const nestedKeys = ['state_dict', 'model_state_dict', 'model', 'net', 'module', 'state_dict_ema', 'ema'];

/** Reads `length` bytes from `offset` of the storage. */
type StorageReader = (storage: TorchStorage, offset: number, length: number) => Uint8Array;

/**
 * Opens a PyTorch checkpoint (`.pth`, `.pt`; zip or the older format) as weights under the names of its state_dict, without what
 * `DataParallel`, `torch.compile` and `torch.nn.utils.prune` put into them ({@link withPlainNames}); a pickled module is read as its
 * state_dict. Tensors are read when asked for; numbers of other formats become float32.
 * @throws {InvalidInputError} if the file is broken, calls more than tensors and plain containers need, or holds no state_dict.
 */
export function openTorchCheckpoint(source: ByteSource): WeightSource {
  if (source.size < 4) throw new InvalidInputError(`${source.name}: ${source.size} bytes are no PyTorch checkpoint`);
  const [first, second, third, fourth] = source.read(0, 4);
  const isZip = first === 0x50 && second === 0x4b && third === 3 && fourth === 4;
  const { root, read } = isZip ? openZip(source) : openLegacy(source);
  const tensors = stateDict(source.name, root);
  const tensorOf = (name: string): TorchTensor => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new InvalidInputError(`${source.name} has no tensor named ${name}`);
    return tensor;
  };
  return withPlainNames({
    names: [...tensors.keys()],
    shape: (name) => tensorOf(name).shape,
    read: (name) => {
      const tensor = tensorOf(name);
      return tensorValues(tensor, (offset, length) => read(tensor.storage, offset, length));
    },
  });
}

interface OpenCheckpoint {
  readonly root: PickleValue;
  readonly read: StorageReader;
}

function openZip(source: ByteSource): OpenCheckpoint {
  const entries = readZip(source);
  const pickleName = [...entries.keys()].find((name) => /^(?:[^/]+\/)?data\.pkl$/.test(name));
  const pickle = pickleName === undefined ? undefined : entries.get(pickleName);
  if (pickle === undefined || pickleName === undefined) {
    throw new InvalidInputError(`${source.name}: the zip archive has no data.pkl, so it is no PyTorch checkpoint`);
  }
  const folder = pickleName.slice(0, -'data.pkl'.length);
  if (entries.has(`${folder}constants.pkl`)) {
    throw new InvalidInputError(`${source.name} is a TorchScript archive; save model.state_dict() instead`);
  }
  const order = entries.get(`${folder}byteorder`);
  if (order !== undefined && new TextDecoder().decode(order.readRange(0, Math.min(order.size, 8))) !== 'little') {
    throw new InvalidInputError(`${source.name}: the checkpoint is not little-endian`);
  }
  const storageEntry = (storage: TorchStorage): ZipEntry => {
    const entry = entries.get(`${folder}data/${storage.key}`);
    if (entry === undefined) throw new InvalidInputError(`${source.name}: the storage ${storage.key} is missing`);
    const bytes = storage.count * bytesPerValue[storage.format];
    if (entry.size !== bytes) {
      throw new InvalidInputError(
        `${source.name}: the storage ${storage.key} has ${entry.size} bytes, but its ${storage.count} values of ${storage.format} need ${bytes}`,
      );
    }
    return entry;
  };
  const cursor = cursorOf(source.name, pickle.size, (offset, length) => pickle.readRange(offset, length));
  return {
    root: readPickle(cursor, torchScope(source.name)),
    read: (storage, offset, length) => storageEntry(storage).readRange(offset, length),
  };
}

/** Magic number, protocol, system, object, storage keys, then for each storage its number of values and the values. */
function openLegacy(source: ByteSource): OpenCheckpoint {
  const cursor = cursorOf(source.name, source.size, (offset, length) => source.read(offset, length));
  const scope = torchScope(source.name);
  const isPickle = source.read(0, 1)[0] === 0x80;
  if (!isPickle || readPickle(cursor, scope) !== legacyMagic) {
    throw new InvalidInputError(
      `${source.name} is no PyTorch checkpoint: it is neither a zip archive nor starts with PyTorch's magic number`,
    );
  }
  const protocol = readPickle(cursor, scope);
  if (protocol !== legacyProtocol) {
    throw new InvalidInputError(`${source.name}: the checkpoint's protocol is not ${legacyProtocol}`);
  }
  const system = readPickle(cursor, scope);
  if (system instanceof Map && system.get('little_endian') === false) {
    throw new InvalidInputError(`${source.name}: the checkpoint is not little-endian`);
  }
  const storages = new Map<string, TorchStorage>();
  const root = readPickle(cursor, {
    global: (module, name) => scope.global(module, name),
    acceptsInstance: (instance) => scope.acceptsInstance(instance),
    persistent: (id) => {
      const storage = scope.persistent(id);
      if (storage instanceof TorchStorage) storages.set(storage.key, storage);
      return storage;
    },
  });
  const keys = readPickle(cursor, scope);
  if (!Array.isArray(keys)) throw new InvalidInputError(`${source.name}: the list of storages is missing`);
  const offsets = new Map<string, number>();
  let at = cursor.position;
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (storage === undefined) throw new InvalidInputError(`${source.name}: the list of storages names an unknown one`);
    const bytes = source.read(at, 8);
    const count = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigInt64(0, true);
    if (count !== BigInt(storage.count)) {
      throw new InvalidInputError(
        `${source.name}: the storage ${storage.key} has ${count} values, but the pickle says ${storage.count}`,
      );
    }
    offsets.set(storage.key, at + 8);
    at += 8 + storage.count * bytesPerValue[storage.format];
    if (at > source.size) throw new InvalidInputError(`${source.name} is truncated within the storage ${storage.key}`);
  }
  return {
    root,
    read: (storage, offset, length) => {
      const start = offsets.get(storage.key);
      if (start === undefined) throw new InvalidInputError(`${source.name}: the storage ${storage.key} is missing`);
      return source.read(start + offset, length);
    },
  };
}

/** Reads ahead in pieces, so that a pickle at the start of a large file costs little. */
function cursorOf(name: string, size: number, read: (offset: number, length: number) => Uint8Array): ByteCursor {
  const pieceSize = 2 ** 16;
  let piece = new Uint8Array(0);
  let pieceStart = 0;
  let position = 0;
  return {
    name,
    get position() {
      return position;
    },
    take(count) {
      if (position + count > size) throw new InvalidInputError(`${name}: the pickle is truncated at byte ${size}`);
      if (position + count > pieceStart + piece.length) {
        pieceStart = position;
        piece = new Uint8Array(read(position, Math.min(Math.max(count, pieceSize), size - position)));
      }
      const start = position - pieceStart;
      position += count;
      return piece.subarray(start, start + count);
    },
  };
}

/**
 * The tensors of a state_dict, also one within a checkpoint, by name: the one with the most, because scripts keep single tensors, such as
 * the best accuracy, beside it.
 */
function stateDict(fileName: string, root: PickleValue): ReadonlyMap<string, TorchTensor> {
  const candidates = [root, ...(root instanceof Map ? nestedKeys.map((key) => root.get(key)) : [])];
  const found = candidates
    .map((candidate) => tensorsOf(moduleState(candidate) ?? candidate))
    .reduce((best, tensors) => (tensors.size > best.size ? tensors : best));
  if (found.size > 0) return found;
  const what = root instanceof Map ? `a dictionary with the keys ${keyList(root)}` : describe(root);
  throw new InvalidInputError(
    `${fileName} holds no state_dict, but ${what}; tensors are looked for at the top and under ${nestedKeys.join(', ')}`,
  );
}

function keyList(map: Map<PickleValue, PickleValue>): string {
  const keys = [...map.keys()].filter((key) => typeof key === 'string').slice(0, 8);
  return keys.length === 0 ? '(none)' : keys.map((key) => key.replace(/[^\x20-\x7e]/g, '?').slice(0, 40)).join(', ');
}

function describe(value: PickleValue): string {
  if (value instanceof TorchTensor) return 'a single tensor';
  if (Array.isArray(value) || value instanceof PickleTuple) return 'a list';
  return 'a single value';
}

function tensorsOf(value: PickleValue | undefined): ReadonlyMap<string, TorchTensor> {
  if (!(value instanceof Map)) return new Map();
  return new Map(
    [...value].filter(
      (entry): entry is [string, TorchTensor] => typeof entry[0] === 'string' && entry[1] instanceof TorchTensor,
    ),
  );
}
