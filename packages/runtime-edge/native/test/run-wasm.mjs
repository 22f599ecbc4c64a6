// Runs a driver that build-drivers.mjs compiled to WebAssembly: node run-wasm.mjs FILE [argument…]
import fs from 'node:fs';
import v8 from 'node:v8';
import { WASI } from 'node:wasi';

v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
process.removeAllListeners('warning');
const [file, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: [file, ...args], returnOnExit: true });
const module = await WebAssembly.compile(fs.readFileSync(file));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
