import { InvalidInputError } from '@dgconv/core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { runInThisContext } from 'node:vm';
import { feedsInOrder } from './feeds.js';
import type { Runtime, RuntimeTensor, TensorSpec } from './runtime.js';

interface LiteRtTensor {
  toTypedArray(): Float32Array;
  delete(): void;
}
interface LiteRtModel {
  getInputDetails(): readonly { name: string; shape: Int32Array; dtype: string }[];
  getOutputDetails(): readonly { name: string; shape: Int32Array; dtype: string }[];
  readonly isFullyAccelerated: boolean;
  run(inputs: LiteRtTensor[]): Promise<LiteRtTensor[]>;
  delete(): void;
}
interface LiteRtModule {
  readonly Tensor: { fromTypedArray(data: Float32Array, shape: readonly number[]): LiteRtTensor };
  loadLiteRt(path: string, options?: object): Promise<unknown>;
  loadAndCompile(model: Uint8Array, options: { accelerator: 'wasm' }): Promise<LiteRtModel>;
}

let loaded: Promise<LiteRtModule> | undefined;

/** Answers "no device" the way a browser without a GPU does, or LiteRT.js would warn about it on the console. */
const noGpu = {
  gpu: {
    requestAdapter: () =>
      Promise.resolve({ limits: {}, features: new Set<string>(), requestDevice: () => Promise.resolve(null) }),
  },
};

/**
 * LiteRT.js is made for browser workers. What it needs of one (`self`, `importScripts`, …) is given to it while it starts
 * and taken back afterwards; its log is dropped, because stdout and stderr belong to our users.
 */
async function startLiteRt(): Promise<LiteRtModule> {
  const require = createRequire(import.meta.url);
  const specifier: string = '@litertjs/core';
  const folder = join(dirname(require.resolve(specifier)), '..', 'wasm');
  const ignore = () => undefined;
  const borrowed = {
    self: globalThis,
    navigator: noGpu,
    require,
    __dirname: folder,
    __filename: join(folder, 'litert_wasm_compat_internal.js'),
    Module: { print: ignore, printErr: ignore },
    importScripts: (script: string) => runInThisContext(readFileSync(script, 'utf8'), { filename: script }),
  };
  const before = Object.entries(borrowed).map(([name, value]) => {
    const descriptor = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    return { name, descriptor };
  });
  try {
    const module = (await import(specifier)) as LiteRtModule;
    await module.loadLiteRt(join(folder, 'litert_wasm_compat_internal.js'));
    return module;
  } finally {
    for (const { name, descriptor } of before) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else Reflect.deleteProperty(globalThis, name);
    }
  }
}

const specsOf = (details: readonly { name: string; shape: Int32Array; dtype: string }[]): TensorSpec[] =>
  details.map(({ name, shape, dtype }) => {
    if (dtype !== 'float32') throw new InvalidInputError(`'${name}' is ${dtype}, only float32 tensors are run`);
    return { name, shape: [...shape], layout: 'NHWC' };
  });

/** LiteRT with its XNNPACK delegate, by the npm package @litertjs/core (WebAssembly, one thread). */
export const litertRuntime: Runtime = {
  name: 'litert',
  formats: ['tflite'],
  async describe() {
    await (loaded ??= startLiteRt());
    const require = createRequire(import.meta.url);
    const manifest = join(dirname(require.resolve('@litertjs/core')), '..', 'package.json');
    return `LiteRT.js ${(JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version}`;
  },
  async whyUnavailable() {
    try {
      await (loaded ??= startLiteRt());
      return null;
    } catch (error) {
      return `@litertjs/core cannot be loaded (${(error as Error).message.split('\n')[0]}); get it by: npm install @litertjs/core`;
    }
  },
  async load(bytes) {
    const { Tensor, loadAndCompile } = await (loaded ??= startLiteRt());
    let model: LiteRtModel;
    try {
      model = await loadAndCompile(bytes, { accelerator: 'wasm' });
    } catch (error) {
      throw new InvalidInputError(`LiteRT refuses the model: ${(error as Error).message.split('\n')[0]}`, {
        cause: error,
      });
    }
    const inputs = specsOf(model.getInputDetails());
    const outputs = specsOf(model.getOutputDetails());
    return {
      inputs,
      outputs,
      async run(feeds) {
        const tensors = feedsInOrder(inputs, feeds).map((data, index) =>
          Tensor.fromTypedArray(data, inputs[index]!.shape),
        );
        const results = await model.run(tensors);
        for (const tensor of tensors) tensor.delete();
        return Object.fromEntries(
          results.map((tensor, index): [string, RuntimeTensor] => {
            const data = tensor.toTypedArray().slice();
            tensor.delete();
            return [outputs[index]!.name, { shape: outputs[index]!.shape, data }];
          }),
        );
      },
      bind(feeds) {
        const tensors = feedsInOrder(inputs, feeds).map((data, index) =>
          Tensor.fromTypedArray(data, inputs[index]!.shape),
        );
        return async () => {
          for (const tensor of await model.run(tensors)) tensor.delete();
        };
      },
      dispose() {
        model.delete();
        return Promise.resolve();
      },
    };
  },
};
