import { printGraph, type Graph } from '@dgconv/core';

/** What `--dump-passes-to` writes of one pass: the graph before and after it. */
export const formatPassDump = (pass: string, before: Graph, after: Graph): string => {
  const [left, right] = [printGraph(before), printGraph(after)];
  return left === right
    ? `// ${pass} changed nothing\n${left}\n`
    : `// before ${pass}\n${left}\n\n// after ${pass}\n${right}\n`;
};
