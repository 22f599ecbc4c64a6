import type * as tfc from '@tensorflow/tfjs-core';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import type { NativeModule } from './native-module.js';
import { type Buffers, outputBuffers, type Operations } from './operations.js';
import { TensorPool } from './tensor-pool.js';

type DataId = tfc.TensorInfo['dataId'];

/**
 * Data of a tensor that one of our kernels made. Whoever else asks for its values gets an array that may live on elsewhere, so that
 * its memory is not used again; our own kernels read `array`.
 */
class KernelOutput {
  readonly dtype = 'float32';
  refCount = 1;
  escaped = false;
  constructor(readonly array: Float32Array) {}
  get values(): Float32Array {
    this.escaped = true;
    return this.array;
  }
}

/** tfjs's plain backend with typed arrays, whose hot kernels are native code and whose memory is used again. */
export class DgconvBackend extends MathBackendCPU {
  readonly #pool: TensorPool;

  constructor(readonly module: NativeModule) {
    super();
    this.#pool = new TensorPool((elements) => module.allocate(elements));
    // The base class would print an advertisement for another backend at its first use.
    (this as unknown as { firstUse: boolean }).firstUse = false;
  }

  /** Floats of a tensor, to be read by a kernel of this backend during its call only. */
  floats({ dataId }: tfc.TensorInfo): Float32Array {
    const data = this.data.get(dataId) as KernelOutput | { values: ArrayLike<number> };
    if (data instanceof KernelOutput) return data.array;
    // Some of tfjs's plain kernels leave their results in plain arrays.
    return data.values instanceof Float32Array ? data.values : Float32Array.from(data.values);
  }

  /** A new float32 tensor for a kernel's result; contents undefined, to be written as a whole. */
  output(shape: readonly number[]): { info: tfc.TensorInfo; values: Float32Array } {
    const values = this.#pool.take(shape.reduce((size, dimension) => size * dimension, 1));
    const info = this.makeTensorInfo([...shape], 'float32', values);
    this.data.set(info.dataId, new KernelOutput(values) as never);
    return { info, values };
  }

  /** Runs a native operation whose only output is a new tensor of that shape; `before` and `after` are the buffers around it. */
  compute<Name extends keyof Operations>(
    operation: Name,
    params: Operations[Name],
    shape: readonly number[],
    before: Buffers,
    after: Buffers = [],
  ): tfc.TensorInfo {
    if (outputBuffers[operation][0] !== before.length) {
      throw new Error(`internal: "${operation}" does not write its buffer ${before.length}`);
    }
    const { info, values } = this.output(shape);
    this.module.run(operation, params, [...before, values, ...after]);
    return info;
  }

  override disposeData(dataId: DataId, force = false): boolean {
    const data: unknown = this.data.has(dataId) ? this.data.get(dataId) : undefined;
    const released = super.disposeData(dataId, force);
    if (released && data instanceof KernelOutput && !data.escaped) this.#pool.give(data.array);
    return released;
  }
}
