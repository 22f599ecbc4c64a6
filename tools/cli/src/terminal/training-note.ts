import type { Progress } from '@dgconv/trainer';
import { formatCount } from './table.js';

/** What stands beside the bar while a network is trained. */
export const trainingNote = ({
  phase,
  epoch,
  epochs,
  loss,
  accuracy,
  validationAccuracy,
  zeta,
  budget,
}: Progress): string => {
  if (phase === 'testing') return 'testing';
  const parts = [
    `epoch ${epoch}/${epochs}`,
    `loss ${loss.toFixed(3)}`,
    `accuracy ${(100 * accuracy).toFixed(1)} %`,
    ...(validationAccuracy === null ? [] : [`validated ${(100 * validationAccuracy).toFixed(1)} %`]),
    `ζ ${zeta}`,
    ...(budget === null ? [] : [`budget ${budgetNote(budget)}`]),
  ];
  return parts.join(', ');
};

/** What a budget is used for: `b 2,345 of 4,096`, `ms 1.23 of 1.5`. */
export const budgetNote = ({ kind, cost, limit }: NonNullable<Progress['budget']>): string => {
  const show = kind === 'ms' ? (ms: number) => `${Number(ms.toPrecision(3))}` : formatCount;
  return `${kind} ${show(cost)} of ${show(limit)}`;
};
