export { type ConformanceOptions, conformanceSuite, conformanceSuites, runConformance } from './conformance.js';
export { type ConformanceResult, type Outcome, type Stage, tapOf } from './outcome.js';
export { defaultOnnxData } from './onnx-suite.js';
