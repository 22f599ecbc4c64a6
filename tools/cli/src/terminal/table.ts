/** Rows of text in aligned columns, numbers to the right; the first row is the heading. */
export const formatTable = (heading: readonly string[], rows: readonly (readonly (string | number)[])[]): string => {
  const cells = [heading, ...rows.map((row) => row.map(String))];
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const toRight = heading.map((_, column) =>
    rows.every((row) => /^[-−]?[\d.,]/.test(String(row[column])) || row[column] === ''),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (toRight[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd();
  return [line(cells[0]!), widths.map((width) => '─'.repeat(width)).join('  '), ...cells.slice(1).map(line)].join('\n');
};

/** A count with thousands separated: `1,234,567`. */
export const formatCount = (value: number): string => Math.round(value).toLocaleString('en-US');

/** Bytes in the unit that reads best. */
export const formatBytes = (bytes: number): string =>
  bytes < 1024
    ? `${bytes} B`
    : bytes < 1024 ** 2
      ? `${(bytes / 1024).toFixed(1)} kB`
      : `${(bytes / 1024 ** 2).toFixed(1)} MB`;

/** An error size: `3.1e-7`, and `0` for none. */
export const formatError = (value: number): string => (value === 0 ? '0' : value.toExponential(1));
