import { interpret, UnsupportedError } from '@dgconv/core';
import test from 'ava';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { crc32c } from './crc32c.js';
import { decodeEdge } from './edge-decode.js';
import { encodeEdge } from './edge-encode.js';
import { edgeEnums, edgeOps } from './edge-schema.js';
import { EdgeSession, type TensorInfo } from './session.js';
import { testEngines } from './testing/engines.js';
import { RandomModel } from './testing/random-model.js';

const folder = fileURLToPath(new URL('../../test-data/', import.meta.url));
const pinned = readdirSync(folder).filter((name) => name.endsWith('.edge'));

/** Offset and size of a section by its kind's number. */
function section(bytes: Uint8Array, kind: number): { offset: number; size: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 64; ; at += 24)
    if (view.getUint32(at, true) === kind)
      return { offset: Number(view.getBigUint64(at + 8, true)), size: Number(view.getBigUint64(at + 16, true)) };
}

/** The first test vector: all inputs, then all outputs, read by docs/edge-format.md. */
function testVector(bytes: Uint8Array, inputs: readonly TensorInfo[], outputs: readonly TensorInfo[]) {
  const { offset } = section(bytes, 6);
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
  let at = 16;
  const read = (infos: readonly TensorInfo[]): Record<string, Float32Array> =>
    Object.fromEntries(
      infos.map(({ name, shape }): [string, Float32Array] => {
        const length = shape.reduce((product, size) => product * size, 1);
        return [name, Float32Array.from({ length }, () => view.getFloat32((at += 4) - 4, true))];
      }),
    );
  return { tolerance: view.getFloat32(4, true), feeds: read(inputs), expected: read(outputs) };
}

for (const name of pinned) {
  for (const engine of testEngines) {
    test(`${name}, pinned when its version was made, computes the same today on ${engine}`, async (t) => {
      const bytes = readFileSync(folder + name);
      const session = await EdgeSession.load(bytes, { engine });
      const { tolerance, feeds, expected } = testVector(bytes, session.inputs, session.outputs);
      const results = session.run(feeds);
      const interpreted = interpret(decodeEdge(bytes), feeds);
      for (const [output, values] of Object.entries(expected)) {
        const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        for (const [got, who] of [
          [results[output]!, engine],
          [Float32Array.from(interpreted[output]!), 'the interpreter'],
        ] as const) {
          const isNear = values.every((value, i) => Math.abs(value - got[i]!) <= tolerance * largest);
          t.true(isNear, `${who} differs in '${output}'`);
        }
      }
      session.dispose();
    });
  }
}

test('the pinned file of version 1.0 has every op, every connectivity and every choice of an enumeration', (t) => {
  t.true(pinned.includes('format-1.0.edge'));
  const { graph } = decodeEdge(readFileSync(`${folder}format-1.0.edge`));
  t.is(new Set(graph.nodes.map(({ op }) => op)).size, Object.keys(edgeOps).length);
  const text = JSON.stringify(graph.nodes.map(({ attrs }) => attrs));
  const { SectionKind, DataType, ...choices } = edgeEnums;
  t.true(SectionKind.length > 0 && DataType.length > 0);
  for (const choice of Object.values(choices).flat()) t.true(text.includes(`"${choice}"`), choice);
});

/** The file with a newer minor version, after `change` of its words, its checksum right. */
function newer(bytes: Uint8Array, change: (words: Uint32Array, ops: number) => void): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const words = new Uint32Array(copy.buffer);
  words[1] = 0x10007;
  change(words, section(copy, 2).offset / 4);
  words[2] = crc32c(copy.subarray(16));
  return copy;
}

test('a newer minor version is read as long as its ops are known; another op is refused by its code', async (t) => {
  const random = new RandomModel({ seed: 6, nodes: 2, exact: true });
  const feeds = random.feeds(1);
  const bytes = encodeEdge(random.model);
  const same = newer(bytes, () => {});
  const unknown = newer(bytes, (words, ops) => (words[ops] = 4711));
  const message = /op 0.* unknown code 4711/;
  t.throws(() => decodeEdge(unknown), { instanceOf: UnsupportedError, message });
  t.deepEqual(decodeEdge(same).graph, decodeEdge(bytes).graph);
  for (const engine of testEngines) {
    await t.throwsAsync(EdgeSession.load(unknown, { engine }), { instanceOf: UnsupportedError, message });
    const [old, young] = await Promise.all([bytes, same].map((file) => EdgeSession.load(file, { engine })));
    t.deepEqual(young!.run(feeds), old!.run(feeds));
  }
});

test('words behind the last field that is known are ignored in a newer minor version and refused in our own', async (t) => {
  const { model } = new RandomModel({ seed: 1, nodes: 1, exact: true });
  const bytes = encodeEdge(model);
  // The last op takes the padding behind the section as one field more: the section grows by a word where there is room.
  const { offset, size } = section(bytes, 2);
  const last = lastOp(bytes, offset, size);
  const grow = (words: Uint32Array): void => {
    words[last / 4 + 1]!++;
    for (let at = 16; ; at += 6) {
      if (words[at] !== 2) continue;
      words[at + 4]! += 4;
      return;
    }
  };
  const young = newer(bytes, grow);
  const wrong = newer(bytes, (words) => {
    grow(words);
    words[1] = 0x10000;
  });
  t.deepEqual(decodeEdge(young).graph, decodeEdge(bytes).graph);
  t.throws(() => decodeEdge(wrong), { message: /words too many/ });
  for (const engine of testEngines) {
    (await EdgeSession.load(young, { engine })).dispose();
    await t.throwsAsync(EdgeSession.load(wrong, { engine }), { message: /op \d+/ });
  }
});

/** Where the last record of the ops begins, in bytes. */
function lastOp(bytes: Uint8Array, offset: number, size: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let at = offset;
  for (;;) {
    const next = at + 4 * view.getUint32(at + 4, true);
    if (next >= offset + size) return at;
    at = next;
  }
}
