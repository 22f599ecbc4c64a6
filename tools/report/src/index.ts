export { type ModelSummary, renderComparison } from './comparison.js';
export { renderRunReport } from './run-report.js';
export type * from './report-data.js';
