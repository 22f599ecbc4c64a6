// Runs a driver that build-drivers.mjs compiled to WebAssembly: node run-wasm.mjs FILE [argument…]
import fs from 'node:fs';
import v8 from 'node:v8';
import { WASI } from 'node:wasi';

v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
// Node 20's fast calls into WASI write to the heap of V8 once a module's memory has grown.
v8.setFlagsFromString('--no-turbo-fast-api-calls');
process.removeAllListeners('warning');
const [file, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: [file, ...args], returnOnExit: true });
const module = await WebAssembly.compile(fs.readFileSync(file));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
