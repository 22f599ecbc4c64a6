import test from 'ava';
import { InvalidInputError } from '../errors.js';
import { assignmentMask, hardAssignment } from './assignment.js';
import { recogniseGrouping } from './recognise.js';

test('channels go to the group of their highest score, the first one on a tie', (t) => {
  t.deepEqual(hardAssignment([0.1, 0.9, 2, 2, -1, -2], 3, 2), [1, 0, 0]);
  t.throws(() => hardAssignment([1, NaN], 1, 2), {
    instanceOf: InvalidInputError,
    message: 'assignment score [0, 1] is NaN',
  });
  t.throws(() => hardAssignment([1, 2, 3], 2, 2), { instanceOf: InvalidInputError });
});

test('outputs see the inputs of their group; a group may lack either', (t) => {
  const mask = assignmentMask([2, 0, 2], [0, 1, 2, 2]);
  t.deepEqual(
    [0, 1, 2, 3].map((output) => mask.rowSupport(output)),
    [[1], [], [0, 2], [0, 2]],
  );
  t.is(recogniseGrouping(mask).kind, 'unequal');
});
