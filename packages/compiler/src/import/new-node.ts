import type { NodeOf, OpKind } from '@dgconv/core';

/** A node without its names, which the graph that it is added to gives it. */
export type NewNode = { [K in OpKind]: Omit<NodeOf<K>, 'id' | 'origin'> }[OpKind];
