import type { Connectivity } from '../graph/connectivity.js';
import { greatestCommonDivisor } from '../grouping/gates.js';
import { Mask } from '../grouping/mask.js';
import { recogniseGrouping } from '../grouping/recognise.js';
import type { Random } from './random.js';

/** What to make; a mask of that structure may turn out simpler, so that `unequal` may come out `equal`. */
export type ConnectivityChoice =
  | 'dense'
  | 'equal'
  | 'unequal'
  | 'shared-inputs'
  | 'shared-outputs'
  | 'unstructured'
  | 'masked'
  | 'dgconv'
  | 'flgc'
  | 'condense';

/** All of them. */
export const connectivityChoices: readonly ConnectivityChoice[] = [
  'dense',
  'equal',
  'unequal',
  'shared-inputs',
  'shared-outputs',
  'unstructured',
  'masked',
  'dgconv',
  'flgc',
  'condense',
];

const divisors = (value: number): number[] =>
  Array.from({ length: value }, (_, index) => index + 1).filter((divisor) => value % divisor === 0);

/** Channels → groups, each at random. */
function assignedMask(random: Random, channelsOut: number, channelsIn: number): Mask {
  const groups = random.integer(2, 4);
  const outputs = Array.from({ length: channelsOut }, () => random.integer(0, groups - 1));
  const inputs = Array.from({ length: channelsIn }, () => random.integer(0, groups - 1));
  return Mask.fromFunction(channelsOut, channelsIn, (output, input) => outputs[output] === inputs[input]);
}

/** Equal groups over channels in random order. */
function equalMask(random: Random, channelsOut: number, channelsIn: number): Mask {
  const groups = random.pick(divisors(greatestCommonDivisor(channelsOut, channelsIn)));
  const isShuffled = random.chance(0.7);
  const order = (channels: number): number[] =>
    isShuffled ? random.permutation(channels) : Array.from({ length: channels }, (_, index) => index);
  const outputs = order(channelsOut).map((position) => Math.floor((position * groups) / channelsOut));
  const inputs = order(channelsIn).map((position) => Math.floor((position * groups) / channelsIn));
  return Mask.fromFunction(channelsOut, channelsIn, (output, input) => outputs[output] === inputs[input]);
}

/** Classes of equally many rows, each with its own random support of one size. */
function sharedMask(random: Random, rows: number, cols: number): Mask {
  const classes = random.pick(divisors(rows));
  const size = random.integer(1, cols);
  const supports = Array.from({ length: classes }, () => random.subset(cols, size));
  return Mask.fromSupports(
    cols,
    random.permutation(rows).map((row) => supports[row % classes]!),
  );
}

/** A random 0/1 matrix; rows and columns may be empty. */
export function randomMask(random: Random, channelsOut: number, channelsIn: number): Mask {
  const density = random.uniform();
  return Mask.fromFunction(channelsOut, channelsIn, () => random.uniform() < density);
}

const masks = {
  dense: (_, channelsOut, channelsIn) => Mask.ones(channelsOut, channelsIn),
  equal: equalMask,
  unequal: assignedMask,
  'shared-inputs': sharedMask,
  'shared-outputs': (random, channelsOut, channelsIn) => sharedMask(random, channelsIn, channelsOut).transpose(),
  unstructured: randomMask,
} as const satisfies Record<string, (random: Random, channelsOut: number, channelsIn: number) => Mask>;

/** A connectivity of the chosen kind between any channel counts. */
export function randomConnectivity(
  random: Random,
  choice: ConnectivityChoice,
  channelsOut: number,
  channelsIn: number,
): Connectivity {
  const counts = { channelsOut, channelsIn };
  switch (choice) {
    case 'masked': {
      const structure = random.pick(Object.keys(masks) as (keyof typeof masks)[]);
      return { kind: 'masked', ...counts, mask: masks[structure](random, channelsOut, channelsIn) };
    }
    case 'dgconv':
      return { kind: 'learned', rule: 'dgconv', ...counts };
    case 'flgc':
      return { kind: 'learned', rule: 'flgc', ...counts, groups: random.integer(1, Math.min(channelsIn, 4)) };
    case 'condense': {
      const groups = random.pick(divisors(greatestCommonDivisor(channelsOut, channelsIn)));
      const condenseFactor = random.pick(divisors(channelsIn));
      return { kind: 'learned', rule: 'condense', ...counts, groups, condenseFactor };
    }
    case 'dense':
    case 'equal':
    case 'unequal':
    case 'shared-inputs':
    case 'shared-outputs':
    case 'unstructured':
      return recogniseGrouping(masks[choice](random, channelsOut, channelsIn));
  }
}
