import { nativeInstructionSets } from '@dgconv/runtime-edge';
import test from 'ava';
import { edgeNativeRuntime, edgeWasmRuntime } from './edge.js';

const withEnvironment = async <T>(name: string, value: string, body: () => Promise<T>): Promise<T> => {
  const before = process.env[name];
  process.env[name] = value;
  try {
    return await body();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
};

test.serial(
  'an instruction set that is forced but not there makes the engine unavailable, with those that are',
  async (t) => {
    const sets = nativeInstructionSets();
    if (sets.length === 0) {
      t.regex((await edgeNativeRuntime.whyUnavailable())!, /is not built/);
      return;
    }
    const why = await withEnvironment('DGCONV_ISA', 'mmx', () => edgeNativeRuntime.whyUnavailable());
    t.is(why, `DGCONV_ISA is 'mmx': here it may be ${sets.join(', ')}`);
    t.is(await withEnvironment('DGCONV_ISA', 'scalar', () => edgeNativeRuntime.whyUnavailable()), null);
    t.is(await withEnvironment('DGCONV_ISA', 'scalar', () => edgeNativeRuntime.describe()), 'dgconv engine, scalar');
  },
);

test.serial('a WebAssembly module that does not exist makes the engine unavailable', async (t) => {
  const why = await withEnvironment('DGCONV_WASM', 'mvp', () => edgeWasmRuntime.whyUnavailable());
  t.is(why, "DGCONV_WASM is 'mvp': it may be simd or relaxed-simd");
});
