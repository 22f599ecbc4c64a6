export { bench, type BenchModel, type BenchOptions, executedMacsOf, modelOfCase, modelOfFiles } from './bench.js';
export { type BenchCase, suiteNamed, suites } from './cases.js';
export type { BenchResult, BenchRow } from './rows.js';
export { tableOf } from './table.js';
export { type LatencyEntry, type LatencyTable, measureLatencies } from './latency-table.js';
export { chromeTrace, profileModel } from './profile.js';
export { measureWasmPeakGflops } from './wasm-peak.js';
