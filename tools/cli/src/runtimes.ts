import { InvalidInputError, UsageError } from '@dgconv/core';
import { nativeInstructionSets } from '@dgconv/runtime-edge';
import { runtimeOf, type ModelFormat, type Runtime, type RuntimeName } from '@dgconv/runtimes';

const defaults: Readonly<Record<ModelFormat, () => RuntimeName>> = {
  // Without a C++ compiler there is no native engine: WebAssembly serves.
  edge: () => (nativeInstructionSets().length > 0 ? 'edge' : 'edge-wasm'),
  onnx: () => 'ort',
  tflite: () => 'litert',
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
  const name = asked ?? defaults[format]();
  const { formats } = runtimeOf(name);
  if (!formats.includes(format))
    throw new UsageError(`the runtime ${name} runs .${formats.join(', .')} files, not .${format}`);
  return presentRuntime(name);
};
