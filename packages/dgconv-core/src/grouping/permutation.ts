/** `permutation[newPosition] = oldPosition`: `[C]`, each of 0 … C-1 once. */
export type Permutation = readonly number[];
