export {
  bench,
  type BenchModel,
  type BenchOptions,
  executedMacsOf,
  modelOfCase,
  modelOfFiles,
  modelOfNetwork,
} from './bench.js';
export { type BenchCase, suiteNamed, suites } from './cases.js';
export type { BenchResult, BenchRow } from './rows.js';
export { tableOf } from './table.js';
export { filesOfLatencyBundle, readLatencyBundle, writeLatencyBundle } from './latency-bundle.js';
export type { MeasuredNetwork } from './latency-plan.js';
export { measureLatencies } from './latency-table.js';
export { withoutLearning } from './without-learning.js';
export { chromeTrace, profileModel } from './profile.js';
export { measureWasmPeakGflops } from './wasm-peak.js';
