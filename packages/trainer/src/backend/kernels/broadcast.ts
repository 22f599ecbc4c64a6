import { binaryKinds, type BinaryParams } from '../operations.js';

interface Dimension {
  size: number;
  strideA: number;
  strideB: number;
}

/**
 * Parameters of y = a ∘ b, with neighbouring dimensions joined where both operands run through them alike.
 * @returns undefined if more than four dimensions remain.
 */
export function broadcast(
  kind: (typeof binaryKinds)[number],
  aShape: readonly number[],
  bShape: readonly number[],
  yShape: readonly number[],
): BinaryParams | undefined {
  const joined: Dimension[] = []; // innermost first
  let strideA = 1;
  let strideB = 1;
  for (let fromEnd = 1; fromEnd <= yShape.length; fromEnd++) {
    const size = yShape.at(-fromEnd)!;
    const sizeA = aShape.at(-fromEnd) ?? 1;
    const sizeB = bShape.at(-fromEnd) ?? 1;
    if (size === 1) continue;
    const dimension = { size, strideA: sizeA === 1 ? 0 : strideA, strideB: sizeB === 1 ? 0 : strideB };
    strideA *= sizeA;
    strideB *= sizeB;
    const inner = joined.at(-1);
    const continues =
      inner &&
      dimension.strideA === inner.strideA * (inner.strideA === 0 ? 0 : inner.size) &&
      dimension.strideB === inner.strideB * (inner.strideB === 0 ? 0 : inner.size);
    if (continues) inner.size *= size;
    else joined.push(dimension);
  }
  if (joined.length > 4) return undefined;
  const at = (fromEnd: number): Dimension => joined[fromEnd] ?? { size: 1, strideA: 0, strideB: 0 };
  return {
    kind: binaryKinds.indexOf(kind),
    size0: at(3).size,
    size1: at(2).size,
    size2: at(1).size,
    size3: at(0).size,
    strideA0: at(3).strideA,
    strideA1: at(2).strideA,
    strideA2: at(1).strideA,
    strideA3: at(0).strideA,
    strideB0: at(3).strideB,
    strideB1: at(2).strideB,
    strideB2: at(1).strideB,
    strideB3: at(0).strideB,
  };
}
