/** One answer of a classifier; `score` is a probability. */
export interface ClassScore {
  readonly class: string;
  readonly index: number;
  readonly score: number;
}

/**
 * The best classes of one image, best first. Logits become probabilities by softmax; outputs that are probabilities stay.
 * @param outputs - `[classes]` of the first image.
 */
export const topClasses = (outputs: Float32Array, count: number, classNames?: readonly string[]): ClassScore[] => {
  const sum = outputs.reduce((total, value) => total + value, 0);
  const areProbabilities = outputs.every((value) => value >= 0) && Math.abs(sum - 1) < 1e-3;
  const largest = outputs.reduce((most, value) => Math.max(most, value), -Infinity);
  const weights = areProbabilities ? [...outputs] : Array.from(outputs, (value) => Math.exp(value - largest));
  const total = weights.reduce((partial, value) => partial + value, 0);
  return weights
    .map((weight, index) => ({ class: classNames?.[index] ?? String(index), index, score: weight / total }))
    .sort((a, b) => b.score - a.score)
    .slice(0, count);
};
