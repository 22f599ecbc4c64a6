/** How a network is trained; the defaults suit small image classifiers. */
export interface Recipe {
  /** Peak of the cosine schedule, for the given batch size. */
  readonly learningRate: number;
  readonly momentum: number;
  /** On kernels only. */
  readonly weightDecay: number;
  /** Share of all steps in which the learning rate rises to its peak. */
  readonly warmup: number;
  /** Shares of all steps between which the gates are brought within the budget; then they stay as they are. */
  readonly projection: readonly [from: number, to: number];
  readonly projectionRounds: number;
  /** Weight of CondenseNet's group lasso. */
  readonly groupLasso: number;
}

/** Small networks stand twice the paper's 0.1 for a batch of 256; smaller batches take proportionally smaller steps. */
const learningRatePerImage = 0.2 / 256;

/** The recipe where nothing else is asked for. */
export function defaultRecipe(batchSize: number): Recipe {
  return {
    learningRate: learningRatePerImage * batchSize,
    momentum: 0.9,
    weightDecay: 1e-4,
    warmup: 0.05,
    projection: [0.25, 0.45],
    projectionRounds: 4,
    groupLasso: 1e-5,
  };
}
