const none = new Int32Array(0);
const converted = new WeakMap<readonly number[], Int32Array>();
const ownGroups = new Map<number, Int32Array>();

/** A list of integers as the native code takes it, made once for each list; null is empty: the identity. */
export function orderOf(order: readonly number[] | null): Int32Array {
  if (!order) return none;
  let array = converted.get(order);
  if (!array) converted.set(order, (array = Int32Array.from(order)));
  return array;
}

/** The input group of each output group; null: its own. */
export function pairingOf(inputGroups: readonly number[] | null, groups: number): Int32Array {
  if (inputGroups) return orderOf(inputGroups);
  let own = ownGroups.get(groups);
  if (!own) ownGroups.set(groups, (own = Int32Array.from({ length: groups }, (_, group) => group)));
  return own;
}
