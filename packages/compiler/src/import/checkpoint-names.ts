import type { WeightSource } from '@dgconv/core';

/** What `DataParallel`, `torch.compile` and FSDP put into the names of the tensors of the module that they wrap. */
const wrappers = new Set(['module', '_orig_mod', '_fsdp_wrapped_module']);
const original = '_orig';
const mask = '_mask';

/** A tensor of the file, and the mask that goes over it. */
interface Origin {
  readonly name: string;
  readonly mask?: string;
}

/**
 * The weights under the names that the bare, deployed module gives them: without the wrappers' parts, and `weight` where
 * `torch.nn.utils.prune` keeps `weight_orig` and `weight_mask`. A source whose names would then clash stays as it is.
 */
export function withPlainNames(source: WeightSource): WeightSource {
  const present = new Set(source.names);
  const origins = source.names.flatMap((name): [string, Origin][] => {
    if (name.endsWith(mask) && present.has(name.slice(0, -mask.length) + original)) return [];
    const stem = name.endsWith(original) ? name.slice(0, -original.length) : name;
    return stem !== name && present.has(stem + mask)
      ? [[plain(stem), { name, mask: stem + mask }]]
      : [[plain(name), { name }]];
  });
  const originOf = new Map(origins);
  if (originOf.size !== origins.length) return source;
  return {
    names: [...originOf.keys()],
    shape: (name) => source.shape(originOf.get(name)?.name ?? name),
    read: (name) => {
      const origin = originOf.get(name) ?? { name };
      const values = source.read(origin.name);
      if (origin.mask === undefined) return values;
      const factors = source.read(origin.mask);
      return values.map((value, index) => value * factors[index]!);
    },
  };
}

function plain(name: string): string {
  return name
    .split('.')
    .filter((part) => !wrappers.has(part))
    .join('.');
}

/** The weights without a prefix such as Lightning's `model.`, if all of `needed` are there under the same one. */
export function withoutPrefix(source: WeightSource, needed: readonly string[]): WeightSource {
  const present = new Set(source.names);
  const [first] = needed;
  if (first === undefined || present.has(first)) return source;
  const prefix = source.names
    .filter((name) => name.endsWith(`.${first}`))
    .map((name) => name.slice(0, -first.length))
    .find((candidate) => needed.every((name) => present.has(candidate + name)));
  if (prefix === undefined) return source;
  return {
    names: source.names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)),
    shape: (name) => source.shape(prefix + name),
    read: (name) => source.read(prefix + name),
  };
}
