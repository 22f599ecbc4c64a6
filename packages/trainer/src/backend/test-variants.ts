import { registerBackendOn } from './register.js';
import { loadAddon, loadWasm, type NativeModule } from './native-module.js';
import * as tf from '../tf.js';

/** One form of the native code that this machine can run, as a tfjs backend of its own. */
export interface Variant {
  readonly name: string;
  readonly module: NativeModule;
  /** Makes tfjs compute with it. */
  readonly use: () => Promise<void>;
}

/** All forms of the native code, and the names of those that are not here; for tests. */
export async function findVariants(): Promise<{ variants: Variant[]; missing: string[] }> {
  const variants: Variant[] = [];
  const missing: string[] = [];
  const add = (name: string, module: NativeModule, set: string) => {
    const backend = `dgconv-${name}`;
    registerBackendOn(backend, module);
    const use = async () => {
      if (!module.useInstructionSet(set) || !(await tf.setBackend(backend))) throw new Error(`internal: no ${name}`);
    };
    variants.push({ name, module, use });
  };
  const addon = loadAddon();
  for (const set of ['baseline', 'avx2', 'avx512']) {
    if (addon?.useInstructionSet(set)) add(`addon-${set}`, addon, set);
    else missing.push(`addon-${set}`);
  }
  const wasm = await loadWasm();
  if (wasm) add('wasm', wasm, 'baseline');
  else missing.push('wasm');
  return { variants, missing };
}
