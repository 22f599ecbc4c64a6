import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Graph, printGraph } from '@dgconv/core';
import { writeFileAtomically } from '@dgconv/core/node';
import type { CompileOptions } from './compile.js';

/**
 * Writes the graph as text after each pass: `00.source.txt`, then `01.harden-gates.txt` and so on for the passes that all formats
 * share, `05.edge.assign-channel-orders.txt` for those of one. What a pass got is the file before; for the first pass of a format,
 * the last shared one. The same input gives the same files.
 * @param directory - is made if it does not exist.
 * @returns for `CompileOptions.observe`.
 * @throws {InvalidInputError} if a file cannot be written.
 */
export function dumpPassesTo(directory: string): NonNullable<CompileOptions['observe']> {
  mkdirSync(directory, { recursive: true });
  let shared = 0;
  let format: string | undefined;
  let number = 0;
  const write = (name: string, graph: Graph): void => {
    const file = `${String(number).padStart(2, '0')}.${name}.txt`;
    writeFileAtomically(join(directory, file), [new TextEncoder().encode(`${printGraph(graph)}\n`)]);
    number += 1;
  };
  return (current, { name, before, after }) => {
    if (number === 0) write('source', before);
    if (current === undefined) shared = number + 1;
    else if (current !== format) number = shared;
    format = current;
    write(current === undefined ? name : `${current}.${name}`, after);
  };
}
