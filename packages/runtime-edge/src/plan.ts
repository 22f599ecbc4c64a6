/** One step of a run. */
export interface PlanStep {
  /** Id of the graph's node that it computes, or a part of. */
  readonly node: string;
  readonly op: string;
  /** What kind of kernel runs: a node can take several steps. */
  readonly step: string;
  readonly kernel: string;
  /** Multiply-adds of a convolution or product, for batch 1; 0 for everything else. */
  readonly macs: number;
  /** Of a convolution: groups, and the input channels that each reads. */
  readonly groups?: number;
  readonly inputsPerGroup?: number;
  /** Of a convolution: whether it reads its inputs through an index list. */
  readonly gathers?: boolean;
  /** Of a convolution: what it applies to its inputs when it loads them. */
  readonly pre?: 'affine-relu';
  /** Of a convolution: whether it adds a second value to its sums. */
  readonly adds?: boolean;
  /** Of a convolution: the function that it applies to what it stores. */
  readonly activation?: string;
  /** Shape of the node's output for batch 1. */
  readonly outputShape: readonly number[];
  /** Whether the output takes the place of an input. */
  readonly inPlace: boolean;
}

/** What the engine decided at load. */
export interface EdgePlan {
  readonly isa: string;
  readonly maxBatch: number;
  /** Memory of all intermediate values. */
  readonly arenaBytes: number;
  /** Memory of weights as the kernels read them. */
  readonly packedBytes: number;
  /** Working memory of each thread. */
  readonly scratchBytes: number;
  readonly steps: readonly PlanStep[];
}

/** Reads the engine's JSON. */
export function planOf(json: string): EdgePlan {
  return JSON.parse(json) as EdgePlan;
}

/** How long a step of the plan took. */
export interface StepTime {
  /** Id of the graph's node. */
  readonly id: string;
  readonly op: string;
  readonly kernel: string;
  readonly ms: number;
}
