/** Learning rate of one step: linear warm-up, then half a cosine down to 0 at the end. */
export function learningRateAt(step: number, steps: number, peak: number, warmupSteps: number): number {
  if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
  const progress = (step - warmupSteps) / Math.max(steps - warmupSteps, 1);
  return (peak * (1 + Math.cos(Math.PI * progress))) / 2;
}

/**
 * What the budget allows at the given step: the cost at the start of the projection down to the limit, evenly in factors, in
 * `rounds` rounds between two steps.
 */
export interface ProjectionRound {
  readonly step: number;
  /** Share of the way from the current cost to the limit, in (0, 1], in logarithms; the last is 1. */
  readonly share: number;
}

/** Projection rounds spread evenly over `[first, last]`, each of the rest of the way the share that leaves equal factors. */
export function projectionRounds(first: number, last: number, rounds: number): ProjectionRound[] {
  return Array.from({ length: rounds }, (_, round) => ({
    step: Math.round(first + ((last - first) * round) / Math.max(rounds - 1, 1)),
    share: 1 / (rounds - round),
  }));
}
