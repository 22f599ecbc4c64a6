import { InvalidInputError, UnsupportedError } from '@dgconv/core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { registerCpuFallbacks } from './cpu-fallback.js';
import { registerTensorflowKernels } from './tensorflow-kernels.js';
import * as tf from './tf.js';
import './ops/compact-kernel.js';
import './ops/fused-kernels.js';
import './ops/grouped-conv.js';
import './ops/take-axis.js';
import { registerDgconvBackend } from './backend/register.js';

/** Engines that a network can be trained on. `tensorflow` needs the optional `@tensorflow/tfjs-node`. */
export const backendNames = ['dgconv', 'tensorflow', 'wasm', 'cpu'] as const;
export type BackendName = (typeof backendNames)[number];

/** Makes one engine ready to be chosen; says why not by throwing. */
const prepare: { readonly [Name in BackendName]: () => Promise<void> } = {
  cpu: () => Promise.resolve(),
  wasm: () => Promise.resolve(registerCpuFallbacks('wasm')),
  dgconv: async () => void (await registerDgconvBackend()),
  tensorflow: async () => {
    // The package is optional, so that its name must not be a literal: the compiler would look for it.
    const name: string = '@tensorflow/tfjs-node';
    // Its notes about instruction sets would stand amid whatever the caller prints.
    process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
    await import(name);
    registerTensorflowKernels();
  },
};

/**
 * Chooses the engine that all tensors live on from now on.
 * @throws {InvalidInputError} if there is no engine of that name.
 * @throws {UnsupportedError} if it is not available on this machine; the message says why.
 */
export async function useBackend(name: string): Promise<void> {
  if (!isBackendName(name)) {
    throw new InvalidInputError(`There is no backend "${name}": it is one of ${backendNames.join(', ')}.`);
  }
  try {
    await prepare[name]();
    if (!(await tf.setBackend(name))) throw new Error('its initialisation failed');
    silenceAdvertisement(tf.backend());
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0]!.replace(/[. ]+$/, '');
    throw new UnsupportedError(`The backend "${name}" is not available here: ${reason}.`, { cause: error });
  }
}

/** tfjs's plain engine prints an advertisement for tfjs-node at its first use, amid whatever the caller prints. */
function silenceAdvertisement(backend: tf.KernelBackend & { firstUse?: boolean }): void {
  if (backend.firstUse) backend.firstUse = false;
}

/** The engines that work on this machine, fastest first, and why the others do not. */
export async function findBackends(): Promise<{
  available: BackendName[];
  missing: { name: BackendName; reason: string }[];
}> {
  const available: BackendName[] = [];
  const missing: { name: BackendName; reason: string }[] = [];
  for (const name of backendNames) {
    try {
      await useBackend(name);
      available.push(name);
    } catch (error) {
      missing.push({ name, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return { available, missing };
}

function isBackendName(name: string): name is BackendName {
  return (backendNames as readonly string[]).includes(name);
}
