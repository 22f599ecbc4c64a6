import { UsageError } from '@dgconv/core';
import { edgeArm64Runtime } from './edge-arm64.js';
import { edgeNativeRuntime, edgeWasmRuntime } from './edge.js';
import { litertRuntime } from './litert.js';
import { ortRuntime } from './ort.js';
import type { ModelFormat, Runtime } from './runtime.js';

/** Every runtime, in the order of tables. */
export const runtimes: readonly Runtime[] = [
  edgeNativeRuntime,
  edgeWasmRuntime,
  edgeArm64Runtime,
  ortRuntime,
  litertRuntime,
];

/** @throws {UsageError} if there is no runtime of that name. */
export function runtimeOf(name: string): Runtime {
  const runtime = runtimes.find((candidate) => candidate.name === name);
  if (!runtime) {
    throw new UsageError(`there is no runtime '${name}': the runtimes are ${runtimes.map((r) => r.name).join(', ')}`);
  }
  return runtime;
}

/** The runtimes that execute a format, in the order of tables. */
export const runtimesFor = (format: ModelFormat): Runtime[] =>
  runtimes.filter(({ formats }) => formats.includes(format));
