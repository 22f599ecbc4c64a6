import type { Progress } from '@dgconv/trainer';

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
    `ζ ${zeta}${budget === null ? '' : ` (budget ${Math.floor(budget)})`}`,
  ];
  return parts.join(', ');
};
