import type { Grouping } from '../grouping/grouping.js';
import { array, type Decoder, integer, number, object, oneOf, string, tagged } from './decoder.js';
import type { Weight } from './weights.js';

/** A weight expression as JSON has it. */
export function decodeWeight(grouping: Decoder<Grouping>): Decoder<Weight> {
  const of: Decoder<Weight> = (value, place) => weight(value, place);
  const shape = array(integer);
  const indices = array(integer);
  const operands = { left: of, right: of };
  const kinds: { readonly [K in Weight['kind']]: Decoder<Weight> } = {
    stored: object({ kind: oneOf('stored'), name: string }),
    literal: object({ kind: oneOf('literal'), shape, values: array(number) }),
    fill: object({ kind: oneOf('fill'), shape, value: number }),
    reshape: object({ kind: oneOf('reshape'), of, shape }),
    transpose: object({ kind: oneOf('transpose'), of, permutation: indices }),
    take: object({ kind: oneOf('take'), of, axis: integer, indices }),
    scale: object({ kind: oneOf('scale'), of, axis: integer, by: of }),
    compact: object({ kind: oneOf('compact'), of, grouping }),
    expand: object({ kind: oneOf('expand'), of, grouping }),
    reorder: object({ kind: oneOf('reorder'), of, grouping, outputOrder: indices, inputOrder: indices }),
    'scale-outputs': object({ kind: oneOf('scale-outputs'), of, grouping, by: of }),
    add: object({ kind: oneOf('add'), ...operands }),
    subtract: object({ kind: oneOf('subtract'), ...operands }),
    multiply: object({ kind: oneOf('multiply'), ...operands }),
    'inverse-root': object({ kind: oneOf('inverse-root'), of, epsilon: number }),
    'contract-inputs': object({ kind: oneOf('contract-inputs'), of, by: of }),
  };
  const weight = tagged<Weight>('kind', kinds);
  return weight;
}
