import * as tf from './tf.js';

/** tfjs 4.22's WebAssembly MaxPoolGrad loses every window whose maximum is negative. */
const wrongKernels: ReadonlySet<string> = new Set([tf.MaxPoolGrad]);

/**
 * Lets an engine run what it has no kernel for on tfjs's plain engine: tfjs's WebAssembly engine lacks most gradients.
 * Values are copied there and back.
 */
export function registerCpuFallbacks(backendName: string): void {
  const kernels = tf.getKernelsForBackend(backendName).map(({ kernelName }) => kernelName);
  const present = new Set(kernels.filter((name) => !wrongKernels.has(name)));
  for (const { kernelName, kernelFunc } of tf.getKernelsForBackend('cpu')) {
    if (present.has(kernelName)) continue;
    if (wrongKernels.has(kernelName)) tf.unregisterKernel(kernelName, backendName);
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, backend, attrs }) => {
        const cpu = tf.findBackend('cpu') as tf.KernelBackend & { firstUse?: boolean };
        cpu.firstUse = false;
        const here = backend as tf.KernelBackend;
        const moved = (tensor: tf.TensorInfo, from: tf.KernelBackend, to: tf.KernelBackend): tf.TensorInfo => {
          const values = from.readSync(tensor.dataId) as tf.backend_util.BackendValues;
          return {
            dataId: to.write(values.slice() as never, tensor.shape, tensor.dtype),
            shape: tensor.shape,
            dtype: tensor.dtype,
          };
        };
        const arguments_: tf.NamedTensorInfoMap = {};
        for (const [name, tensor] of Object.entries(inputs)) {
          if (tensor) arguments_[name] = moved(tensor, here, cpu);
        }
        const outputs = kernelFunc({ inputs: arguments_, backend: cpu, ...(attrs && { attrs }) });
        const list = Array.isArray(outputs) ? outputs : [outputs];
        const results = list.map((output) => moved(output, cpu, here));
        for (const { dataId } of [...Object.values(arguments_), ...list] as tf.TensorInfo[])
          cpu.disposeData(dataId, true);
        return Array.isArray(outputs) ? results : results[0]!;
      },
    });
  }
}
