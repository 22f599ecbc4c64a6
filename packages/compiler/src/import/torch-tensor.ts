import { bytesPerValue, InvalidInputError, type Shape, toFloat32, type ValueFormat } from '@dgconv/core';
import { PickleGlobal, PickleObject, type PickleScope, PickleTuple, type PickleValue } from './pickle.js';
import { inertGlobals } from './pickle-inert.js';
import { isTorchModule } from './torch-module.js';

/** A storage as the pickle describes it: the bytes that tensors share. */
export class TorchStorage extends PickleObject {
  constructor(
    readonly key: string,
    readonly format: ValueFormat,
    /** Values in all. */
    readonly count: number,
  ) {
    super();
  }
}

/** A tensor as the pickle describes it: a strided window of a storage. */
export class TorchTensor extends PickleObject {
  constructor(
    readonly storage: TorchStorage,
    /** Values from the start of the storage. */
    readonly offset: number,
    readonly shape: Shape,
    readonly strides: readonly number[],
  ) {
    super();
  }
}

const storageFormats: Readonly<Record<string, ValueFormat>> = {
  DoubleStorage: 'float64',
  FloatStorage: 'float32',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  LongStorage: 'int64',
  IntStorage: 'int32',
  ShortStorage: 'int16',
  CharStorage: 'int8',
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
};

class StorageType extends PickleGlobal {
  constructor(
    name: string,
    readonly format: ValueFormat,
  ) {
    super(name);
  }
}

/**
 * The globals that a pickle of tensors, plain containers and modules needs; a call of anything else is refused.
 * @param fileName - for messages.
 */
export function torchScope(fileName: string): PickleScope {
  const fail = (problem: string): never => {
    throw new InvalidInputError(`${fileName}: ${problem}`);
  };
  const globals = new Map<string, PickleGlobal>(
    [
      new PickleGlobal('collections.OrderedDict', (parameters) => {
        const pairs = parameters[0] ?? [];
        if (!Array.isArray(pairs)) return fail('an OrderedDict is made of something that is no list of pairs');
        return new Map(
          pairs.map((pair): [PickleValue, PickleValue] => {
            const items = pair instanceof PickleTuple ? pair.items : Array.isArray(pair) ? pair : [];
            return items.length === 2
              ? [items[0]!, items[1]!]
              : fail('an OrderedDict is made of something that is no list of pairs');
          }),
        );
      }),
      new PickleGlobal('torch.Size', (parameters) => {
        const [size] = parameters;
        return size instanceof PickleTuple || Array.isArray(size)
          ? size
          : fail('a torch.Size is made of something that is no tuple');
      }),
      new PickleGlobal('torch._utils._rebuild_tensor', (parameters) => rebuildTensor(fileName, parameters)),
      new PickleGlobal('torch._utils._rebuild_tensor_v2', (parameters) => rebuildTensor(fileName, parameters)),
      ...['torch._utils._rebuild_parameter', 'torch._utils._rebuild_parameter_with_state'].map(
        (name) =>
          new PickleGlobal(name, (parameters) => {
            const [tensor] = parameters;
            return tensor instanceof TorchTensor ? tensor : fail('a parameter is made of something that is no tensor');
          }),
      ),
      // A tensor with attributes: the function that makes it, its type, the function's arguments, the attributes.
      new PickleGlobal('torch._tensor._rebuild_from_type_v2', ([make, , parameters]) =>
        make instanceof PickleGlobal && make.call !== undefined && parameters instanceof PickleTuple
          ? make.call(parameters.items)
          : fail('a tensor with attributes is made of something that is no tensor'),
      ),
      ...inertGlobals,
      ...Object.entries(storageFormats).map(([name, format]) => new StorageType(`torch.${name}`, format)),
    ].map((global) => [global.name, global]),
  );
  return {
    global: (module, name) => globals.get(`${module}.${name}`),
    acceptsInstance: isTorchModule,
    persistent: (id) => {
      // Files before PyTorch 1.6 put ('module', class, its source file, its source) where a module's class is named.
      if (id instanceof PickleTuple && id.items[0] === 'module' && id.items[1] instanceof PickleGlobal) {
        return id.items[1];
      }
      // ('storage', type, key, location, count) and in legacy files a view of another storage, or null.
      if (!(id instanceof PickleTuple) || id.items[0] !== 'storage')
        return fail('a persistent id of the pickle is no storage');
      const [, type, key, , count, storageView] = id.items;
      if (!(type instanceof StorageType)) return fail('a storage of the pickle has no known number format');
      if (typeof key !== 'string') return fail('a storage of the pickle has no key');
      if (!isCount(count)) return fail(`the storage ${key} has a size that is no count`);
      if (storageView !== undefined && storageView !== null)
        return fail(`the storage ${key} is a view of another, which is not supported`);
      return new TorchStorage(key, type.format, count);
    },
  };
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function counts(value: PickleValue | undefined): readonly number[] | undefined {
  const items = value instanceof PickleTuple ? value.items : undefined;
  return items !== undefined && items.every(isCount) ? items : undefined;
}

function rebuildTensor(fileName: string, parameters: readonly PickleValue[]): TorchTensor {
  const [storage, offset, sizeValue, strideValue] = parameters;
  const shape = counts(sizeValue);
  const strides = counts(strideValue);
  if (
    !(storage instanceof TorchStorage) ||
    !isCount(offset) ||
    shape === undefined ||
    shape.length !== strides?.length
  ) {
    throw new InvalidInputError(
      `${fileName}: a tensor of the pickle is not (storage, offset, size, stride) with counts`,
    );
  }
  const values = shape.reduce((product, size) => product * size, 1);
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, offset);
  // More values than the storage has could claim any amount of memory.
  if (values > 0 && (last >= storage.count || values > storage.count)) {
    throw new InvalidInputError(
      `${fileName}: a tensor of shape [${shape.join(', ')}], strides [${strides.join(', ')}] and offset ${offset} does not fit its storage of ${storage.count} values`,
    );
  }
  return new TorchTensor(storage, offset, shape, strides);
}

/**
 * The values of a tensor in row-major order, read with `readRange(offset, length)` in bytes of its storage.
 * Reads no more of the storage than the tensor spans.
 */
export function tensorValues(
  tensor: TorchTensor,
  readRange: (offset: number, length: number) => Uint8Array,
): Float32Array {
  const { shape, strides } = tensor;
  const count = shape.reduce((product, size) => product * size, 1);
  if (count === 0) return new Float32Array(0);
  const width = bytesPerValue[tensor.storage.format];
  const span = 1 + shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, 0);
  const stored = toFloat32(readRange(tensor.offset * width, span * width), tensor.storage.format);
  if (isContiguous(shape, strides)) return stored;
  const values = new Float32Array(count);
  const index = shape.map(() => 0);
  for (let at = 0, from = 0; at < count; at += 1) {
    values[at] = stored[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      index[axis]! += 1;
      from += strides[axis]!;
      if (index[axis]! < shape[axis]!) break;
      from -= index[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return values;
}

function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}
