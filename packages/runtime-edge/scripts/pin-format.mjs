// Writes the pinned file of a format version: node scripts/pin-format.mjs 1.0
// leaves test-data/format-1.0.edge, one network with every op and every choice of each op, and test vectors. Run it once for
// a new version, commit the file, and never write it again: later readers have to read and compute it as on that day.
// Needs the built packages, tools/conformance too.
import { interpret } from '@dgconv/core';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenSuite } from '../../../tools/conformance/build/src/golden-suite.js';
import { decodeEdge, encodeEdge } from '../build/src/index.js';
import { RandomModel } from '../build/src/testing/random-model.js';
import { packageFolder } from './engine-sources.mjs';

const [version] = process.argv.slice(2);
if (!/^\d+\.\d+$/.test(version ?? '')) throw new Error('usage: node scripts/pin-format.mjs MAJOR.MINOR');
const path = join(packageFolder, `test-data/format-${version}.edge`);
if (existsSync(path)) throw new Error(`${path} is pinned: it must not change`);

/** The choices that a node makes: its op, the texts and flags among its attributes, the weights that it has, its inputs' number. A fused activation is one field for all ops. */
function choices(node) {
  const found = [`${node.op} with ${node.inputs.length} inputs`];
  const visit = (value, at) => {
    if (typeof value === 'string' || typeof value === 'boolean') found.push(`${at} ${value}`);
    else if (value && typeof value === 'object' && !Array.isArray(value) && !ArrayBuffer.isView(value))
      for (const [key, inner] of Object.entries(value)) visit(inner, key === 'activation' ? key : `${at}.${key}`);
  };
  visit(node.attrs, node.op);
  for (const slot of Object.keys(node.weights)) found.push(`${node.op} has ${slot}`);
  return found;
}

/** The ops that compiling leaves none of. */
function foldedAway() {
  const shape = [1, 2, 2, 3];
  const value = { kind: 'literal', shape, values: shape.flatMap((size) => [size, -size, 0]) };
  const node = (id, op, inputs, attrs, weights) => ({ id, op, inputs, attrs, weights, origin: [] });
  const graph = {
    formatVersion: '1.0',
    nodes: [
      node('same', 'identity', ['input'], {}, {}),
      node('added', 'constant', [], { shape }, { value }),
      node('sum', 'binary', ['same', 'added'], { function: 'add', activation: { function: 'identity' } }, {}),
    ],
    inputs: [{ name: 'input', shape }],
    outputs: [{ name: 'output', value: 'sum' }],
    metadata: {},
  };
  const target = { graph, weights: { names: [], shape: () => null, read: () => null } };
  const feeds = { input: Float32Array.from({ length: 12 }, (_, index) => index - 6) };
  const expected = { output: { data: Float32Array.from(interpret(target, feeds).output) } };
  return [{ target, feeds, expected }];
}

const floats = (tensors) => tensors.reduce((sum, { length }) => sum + length, 0);
const random = Array.from({ length: 200 }, (_, seed) => {
  const small = new RandomModel({ seed, nodes: 1, exact: true });
  const feeds = small.feeds(1);
  const outputs = Object.entries(interpret(small.model, feeds));
  const expected = Object.fromEntries(outputs.map(([name, values]) => [name, { data: Float32Array.from(values) }]));
  return { target: small.model, feeds, expected };
});
const prepared = goldenSuite()
  .flatMap(({ prepare }) => [...prepare('edge', () => {})])
  .concat(random, foldedAway())
  .map((run) => {
    const values = floats(Object.values(run.feeds)) + floats(Object.values(run.expected).map(({ data }) => data));
    return { ...run, bytes: encodeEdge(run.target).length + 4 * values, all: run.target.graph.nodes.flatMap(choices) };
  })
  .sort((a, b) => b.bytes - a.bytes);
// Largest first, whatever the others have too is left out.
const users = new Map();
for (const { all } of prepared) for (const choice of new Set(all)) users.set(choice, (users.get(choice) ?? 0) + 1);
const parts = prepared.filter(({ all }) => {
  const distinct = [...new Set(all)];
  if (distinct.some((choice) => users.get(choice) === 1)) return true;
  for (const choice of distinct) users.set(choice, users.get(choice) - 1);
  return false;
});

const graph = {
  formatVersion: parts[0].target.graph.formatVersion,
  nodes: [],
  inputs: [],
  outputs: [],
  metadata: { name: `format ${version}` },
};
const inputs = {};
const outputs = {};
const owners = new Map();
for (const [index, { target: written, feeds, expected }] of parts.entries()) {
  const target = decodeEdge(encodeEdge(written)); // every weight is a stored one
  const renamed = (name) => `${index}.${name}`;
  for (const node of target.graph.nodes)
    graph.nodes.push({
      ...node,
      id: renamed(node.id),
      inputs: node.inputs.map(renamed),
      weights: Object.fromEntries(
        Object.entries(node.weights).map(([slot, weight]) => [slot, { ...weight, name: renamed(weight.name) }]),
      ),
      origin: [],
    });
  for (const name of target.weights.names) owners.set(renamed(name), { source: target.weights, name });
  for (const input of target.graph.inputs) graph.inputs.push({ ...input, name: renamed(input.name) });
  for (const { name, value } of target.graph.outputs) {
    graph.outputs.push({ name: renamed(name), value: renamed(value) });
    outputs[renamed(name)] = expected[name].data;
  }
  for (const [name, values] of Object.entries(feeds)) inputs[renamed(name)] = values;
}
const weights = {
  names: [...owners.keys()],
  shape: (key) => owners.get(key).source.shape(owners.get(key).name),
  read: (key) => owners.get(key).source.read(owners.get(key).name),
};
const bytes = encodeEdge({ graph, weights }, { testVectors: [{ inputs, outputs }], tolerance: { ofLargest: 1e-5 } });
mkdirSync(join(packageFolder, 'test-data'), { recursive: true });
writeFileSync(path, bytes);
console.log(`${path}: ${parts.length} parts, ${users.size} choices, ${bytes.length} bytes`);
