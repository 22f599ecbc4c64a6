/** Placeholder until the mathematics lands: see grouping helper. */
export interface Mask {
  readonly rows: number;
  readonly cols: number;
  readonly nonZeros: number;
  get(row: number, col: number): 0 | 1;
}
