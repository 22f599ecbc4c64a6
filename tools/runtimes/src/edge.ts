import { type DgconvError, InvalidInputError } from '@dgconv/core';
import { EdgeSession, nativeInstructionSets, type WasmVariant } from '@dgconv/runtime-edge';
import { setFlagsFromString } from 'node:v8';
import { feedsInOrder } from './feeds.js';
import type { LoadOptions, Runtime, RuntimeTensor, TensorSpec } from './runtime.js';

/** Which module `edge-wasm` runs: plain SIMD unless DGCONV_WASM says `relaxed-simd`, which Node.js 20 has only behind a flag. */
export function wasmVariant(): WasmVariant {
  const name = process.env['DGCONV_WASM'] ?? 'simd';
  if (name === 'simd') return name;
  if (name !== 'relaxed-simd') throw new InvalidInputError(`DGCONV_WASM is '${name}': it may be simd or relaxed-simd`);
  if (Number.parseInt(process.versions.node) < 22) setFlagsFromString('--experimental-wasm-relaxed-simd');
  return name;
}

function whyNoNative(): string | null {
  const sets = nativeInstructionSets();
  if (sets.length === 0) return 'the native engine is not built; get it by: a C++ compiler as $CXX, then npm run build';
  const forced = process.env['DGCONV_ISA'] ?? '';
  return forced === '' || sets.includes(forced) ? null : `DGCONV_ISA is '${forced}': here it may be ${sets.join(', ')}`;
}

function whyNoWasm(): string | null {
  try {
    wasmVariant();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Our engine, as the Node addon or as WebAssembly. */
function edgeRuntime(name: 'edge' | 'edge-wasm', engine: 'native' | 'wasm'): Runtime {
  return {
    name,
    formats: ['edge'],
    describe: () =>
      Promise.resolve(
        engine === 'wasm'
          ? `dgconv engine, WebAssembly (${wasmVariant()})`
          : `dgconv engine, ${process.env['DGCONV_ISA'] || nativeInstructionSets()[0]}`,
      ),
    whyUnavailable: () => Promise.resolve(engine === 'native' ? whyNoNative() : whyNoWasm()),
    async load(bytes, { threads = 1, maxBatch = 1 }: LoadOptions = {}) {
      const session = await EdgeSession.load(
        bytes,
        engine === 'wasm' ? { engine, wasm: wasmVariant(), maxBatch } : { engine, threads, maxBatch },
      );
      const inputs: readonly TensorSpec[] = session.inputs;
      const outputs: readonly TensorSpec[] = session.outputs;
      return {
        inputs,
        outputs,
        run(feeds) {
          try {
            feedsInOrder(inputs, feeds);
            const results = session.run(feeds);
            return Promise.resolve(
              Object.fromEntries(
                outputs.map(({ name: output, shape }): [string, RuntimeTensor] => [
                  output,
                  { shape, data: results[output]! },
                ]),
              ),
            );
          } catch (error) {
            return Promise.reject(error as DgconvError);
          }
        },
        bind(feeds) {
          const own = session.buffers();
          feedsInOrder(inputs, feeds).forEach((values, index) => own.inputs[inputs[index]!.name]!.set(values));
          return () => void session.run(own.inputs, own.outputs);
        },
        dispose: () => Promise.resolve(session.dispose()),
      };
    },
  };
}

/** Our engine as a Node addon, with the best kernels that the CPU has. */
export const edgeNativeRuntime = edgeRuntime('edge', 'native');

/** Our engine as WebAssembly, one thread. */
export const edgeWasmRuntime = edgeRuntime('edge-wasm', 'wasm');
