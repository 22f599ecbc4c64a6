export * from './errors.js';
export type * from './grouping/grouping.js';
export type * from './grouping/mask.js';
export type * from './grouping/permutation.js';
export type * from './graph/graph.js';
export type * from './graph/ops.js';
export type * from './graph/connectivity.js';
export type * from './graph/weights.js';
