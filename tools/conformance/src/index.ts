export { readBundleResult } from './bundle-result.js';
export { filesOfBundle, writeBundle } from './bundle.js';
export { type ConformanceCase } from './conformance-case.js';
export { casesOf, type ConformanceSuite, conformanceSuites, runConformance } from './conformance.js';
export { modelSuite } from './model-suite.js';
export { defaultOnnxData } from './onnx-suite.js';
export { type ConformanceResult, type Outcome, type Stage, tapOf } from './outcome.js';
