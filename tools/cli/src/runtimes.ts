import { InvalidInputError, UsageError } from '@dgconv/core';
import { runtimeOf, type ModelFormat, type Runtime, type RuntimeName } from '@dgconv/runtimes';

const defaults: Readonly<Record<ModelFormat, readonly RuntimeName[]>> = {
  // Without a C++ compiler there is no native engine: WebAssembly serves.
  edge: ['edge', 'edge-wasm'],
  onnx: ['ort'],
  tflite: ['litert'],
};

/**
 * A runtime by its name.
 * @throws {InvalidInputError} if it is not present on this machine; the message says how to get it.
 */
export const presentRuntime = async (name: RuntimeName): Promise<Runtime> => {
  const runtime = runtimeOf(name);
  const reason = await runtime.whyUnavailable();
  if (reason === null) return runtime;
  throw new InvalidInputError(`the runtime ${name} cannot be used here: ${reason}`);
};

/**
 * The runtime for a format: the one asked for, else the format's own.
 * @throws {UsageError} if the runtime does not take the format.
 * @throws {InvalidInputError} if it is not present on this machine; the message says how to get it.
 */
export const loadRuntime = async (asked: RuntimeName | undefined, format: ModelFormat): Promise<Runtime> => {
  const names = asked === undefined ? defaults[format] : [asked];
  const reasons: string[] = [];
  for (const name of names) {
    const runtime = runtimeOf(name);
    if (!runtime.formats.includes(format))
      throw new UsageError(`the runtime ${name} runs .${runtime.formats.join(', .')} files, not .${format}`);
    const reason = await runtime.whyUnavailable();
    if (reason === null) return runtime;
    reasons.push(`the runtime ${name} cannot be used here: ${reason}`);
  }
  throw new InvalidInputError(reasons.join('; '));
};
