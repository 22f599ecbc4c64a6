import * as tf from '../tf.js';
import { DgconvBackend } from './backend.js';
import { batchNormKernels } from './kernels/batch-norm.js';
import { binaryKernels } from './kernels/binary.js';
import { convKernels } from './kernels/conv.js';
import { elementwiseKernels } from './kernels/elementwise.js';
import { gateKernels } from './kernels/gates.js';
import { groupedConvKernels } from './kernels/grouped-conv.js';
import { matMulKernels } from './kernels/mat-mul.js';
import { poolKernels } from './kernels/pool.js';
import { reduceKernels } from './kernels/reduce.js';
import { loadNativeModule, type NativeModule } from './native-module.js';

/** Kernels that run as native code; all others are those of tfjs's `cpu` backend. */
export const nativeKernels = [
  ...batchNormKernels,
  ...binaryKernels,
  ...convKernels,
  ...elementwiseKernels,
  ...gateKernels,
  ...groupedConvKernels,
  ...matMulKernels,
  ...poolKernels,
  ...reduceKernels,
];

/** Registers a tfjs backend of that name on the given native module, after all kernels of `cpu` are registered. */
export function registerBackendOn(backendName: string, module: NativeModule): void {
  if (tf.findBackendFactory(backendName)) return;
  const plainKernels = new Map(tf.getKernelsForBackend('cpu').map((config) => [config.kernelName, config]));
  const nativeNames = new Set(nativeKernels.map(({ name }) => name));
  for (const config of plainKernels.values()) {
    if (!nativeNames.has(config.kernelName)) tf.registerKernel({ ...config, backendName });
  }
  for (const { name, run } of nativeKernels) {
    const kernelFunc: tf.KernelFunc = (call) => {
      const plain = () => {
        const config = plainKernels.get(name);
        if (!config) throw new Error(`internal: there is no plain kernel "${name}"`);
        return config.kernelFunc(call);
      };
      const backend = call.backend as DgconvBackend;
      return run({ inputs: call.inputs as never, attrs: call.attrs as never, backend, plain });
    };
    tf.registerKernel({ kernelName: name, backendName, kernelFunc });
  }
  tf.registerBackend(backendName, () => new DgconvBackend(module));
}

let registered: Promise<NativeModule> | undefined;

/**
 * Registers the backend `dgconv` on the fastest native code that there is, once.
 * @throws if no native code was built.
 */
export function registerDgconvBackend(): Promise<NativeModule> {
  registered ??= loadNativeModule().then((module) => {
    registerBackendOn('dgconv', module);
    return module;
  });
  return registered;
}

/** Threads of the `dgconv` backend from now on; results do not depend on it. @returns what was granted. */
export async function setBackendThreads(threads: number): Promise<number> {
  return (await registerDgconvBackend()).setThreads(threads);
}
