import type { Model } from '@dgconv/core';

/** A rewrite that keeps what the network computes. It does no I/O but reading weights, and knows no clock, randomness or globals. */
export interface Pass {
  /** As dumps and messages call it, kebab-case. */
  readonly name: string;
  run(model: Model): Model;
}

/** A pass that looks at the graph only. */
export function graphPass(name: string, rewrite: (graph: Model['graph']) => Model['graph']): Pass {
  return { name, run: ({ graph, weights }) => ({ graph: rewrite(graph), weights }) };
}
