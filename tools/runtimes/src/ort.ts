import { elementCount, InvalidInputError } from '@dgconv/core';
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import { feedsInOrder } from './feeds.js';
import type { Runtime, RuntimeTensor, TensorSpec } from './runtime.js';

interface OnnxRuntime {
  readonly InferenceSession: typeof InferenceSession;
  readonly Tensor: typeof Tensor;
  readonly env: { readonly versions: { readonly common: string; readonly node?: string } };
}

let loaded: Promise<OnnxRuntime> | undefined;

/** The module, imported through a variable so that the package is optional; its telemetry is off. */
function onnxRuntime(): Promise<OnnxRuntime> {
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
  const specifier: string = 'onnxruntime-node';
  loaded ??= import(specifier) as Promise<OnnxRuntime>;
  return loaded;
}

const specsOf = (metadata: readonly InferenceSession.ValueMetadata[]): TensorSpec[] =>
  metadata.map((value) => {
    if (!value.isTensor || value.type !== 'float32') {
      throw new InvalidInputError(
        `'${value.name}' is ${value.isTensor ? value.type : 'no tensor'}, only float32 tensors are run`,
      );
    }
    const shape = value.shape.map((size, axis) => {
      if (typeof size === 'number' && size >= 0) return size;
      if (axis === 0) return 1; // a batch of any size
      throw new InvalidInputError(
        `'${value.name}' has the open dimension '${size}': dgconv compile --input-shape C,H,W writes a file with fixed sizes`,
      );
    });
    return { name: value.name, shape, layout: 'NCHW' };
  });

/** ONNX Runtime's CPU provider, by the npm package onnxruntime-node. */
export const ortRuntime: Runtime = {
  name: 'ort',
  formats: ['onnx'],
  async describe() {
    const { versions } = (await onnxRuntime()).env;
    return `ONNX Runtime ${versions.node ?? versions.common}`;
  },
  async whyUnavailable() {
    try {
      await onnxRuntime();
      return null;
    } catch (error) {
      return `onnxruntime-node cannot be loaded (${(error as Error).message.split('\n')[0]}); get it by: npm install onnxruntime-node`;
    }
  },
  async load(bytes, { threads = 1 } = {}) {
    const { InferenceSession, Tensor } = await onnxRuntime();
    let session: InferenceSession;
    try {
      session = await InferenceSession.create(bytes, {
        executionProviders: ['cpu'],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        logSeverityLevel: 3,
      });
    } catch (error) {
      throw new InvalidInputError(`ONNX Runtime refuses the model: ${(error as Error).message}`, { cause: error });
    }
    const inputs = specsOf(session.inputMetadata);
    const outputs = specsOf(session.outputMetadata);
    const toTensors = (feeds: Readonly<Record<string, Float32Array>>) => {
      const arrays = feedsInOrder(inputs, feeds);
      return Object.fromEntries(
        inputs.map(({ name, shape }, index) => [name, new Tensor('float32', arrays[index]!, shape)]),
      );
    };
    return {
      inputs,
      outputs,
      async run(feeds) {
        const results = await session.run(toTensors(feeds));
        return Object.fromEntries(
          outputs.map(({ name }): [string, RuntimeTensor] => {
            const value = results[name]!;
            return [name, { shape: value.dims, data: value.data as Float32Array }];
          }),
        );
      },
      bind(feeds) {
        const tensors = toTensors(feeds);
        const results = Object.fromEntries(
          outputs.map(({ name, shape }) => [name, new Tensor('float32', new Float32Array(elementCount(shape)), shape)]),
        );
        return async () => void (await session.run(tensors, results));
      },
      dispose: () => session.release(),
    };
  },
};
