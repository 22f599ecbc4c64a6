import type { Mask } from '@dgconv/core';

/** A 0/1 matrix `[rows, cols]` as an SVG with one path: every run of ones in a row is a rectangle. */
export function maskPicture(mask: Mask, description: string): string {
  let path = '';
  for (let row = 0; row < mask.rows; row++) {
    for (let col = 0; col < mask.cols; col++) {
      if (mask.get(row, col) === 0) continue;
      const start = col;
      while (col + 1 < mask.cols && mask.get(row, col + 1) === 1) col++;
      path += `M${start} ${row}h${col - start + 1}v1h-${col - start + 1}z`;
    }
  }
  return `<svg viewBox="0 0 ${mask.cols} ${mask.rows}" shape-rendering="crispEdges" role="img" aria-label="${description}"><path d="${path}" fill="var(--cell)"/></svg>`;
}
