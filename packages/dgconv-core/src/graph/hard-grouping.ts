import { InvalidInputError } from '../errors.js';
import { assignmentMask, hardAssignment } from '../grouping/assignment.js';
import type { Grouping } from '../grouping/grouping.js';
import { groupingFromGates } from '../grouping/kronecker.js';
import { Mask } from '../grouping/mask.js';
import { recogniseGrouping } from '../grouping/recognise.js';
import type { NodeOf } from './graph.js';
import { readWeight } from './weight-rules.js';
import type { Weight, WeightSource } from './weights.js';

/**
 * Who is connected with whom in a convolution, whatever state it is in: masks are recognised, what training decides is hardened.
 * @throws {InvalidInputError} naming the node, if a deciding weight is missing or not a number.
 */
export function hardGrouping(node: NodeOf<'conv2d'>, source: WeightSource): Grouping {
  const { connectivity } = node.attrs;
  if (connectivity.kind === 'masked') return recogniseGrouping(connectivity.mask);
  if (connectivity.kind !== 'learned') return connectivity;
  const { channelsOut, channelsIn } = connectivity;
  const read = (slot: 'gates' | 'inputAssignment' | 'outputAssignment' | 'mask'): Float32Array => {
    const weight: Weight | undefined = node.weights[slot];
    if (weight === undefined) throw new InvalidInputError(`the slot '${slot}' is empty`);
    return readWeight(weight, source);
  };
  try {
    switch (connectivity.rule) {
      case 'dgconv':
        return groupingFromGates(read('gates'), channelsOut, channelsIn);
      case 'flgc':
        return recogniseGrouping(
          assignmentMask(
            hardAssignment(read('inputAssignment'), channelsIn, connectivity.groups),
            hardAssignment(read('outputAssignment'), channelsOut, connectivity.groups),
          ),
        );
      case 'condense':
        return recogniseGrouping(Mask.fromWeights(read('mask'), channelsOut, channelsIn));
    }
  } catch (error) {
    if (error instanceof InvalidInputError)
      throw new InvalidInputError(`node '${node.id}' (conv2d, ${connectivity.rule}): ${error.message}`, {
        cause: error,
      });
    throw error;
  }
}
