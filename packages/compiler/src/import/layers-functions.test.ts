import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { interpret } from '@dgconv/core';
import { openByteSource } from '@dgconv/core/node';
import test, { type ExecutionContext } from 'ava';
import { importLayersModel } from './layers-model.js';

const folder = mkdtempSync(join(tmpdir(), 'dgconv-functions-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

let models = 0;

/** What a model of one layer makes of x. */
function run(
  className: string,
  config: Record<string, unknown>,
  shape: readonly number[],
  x: readonly number[],
  weights: Readonly<Record<string, readonly number[]>> = {},
  weightShape?: readonly number[],
): number[] {
  models += 1;
  const specs = Object.entries(weights).map(([name, values]) => ({
    name: `l/${name}`,
    shape: weightShape ?? [values.length],
    dtype: 'float32',
  }));
  writeFileSync(join(folder, `${models}.bin`), new Uint8Array(Float32Array.from(Object.values(weights).flat()).buffer));
  const layer = { class_name: className, config: { name: 'l', batch_input_shape: [null, ...shape], ...config } };
  const modelTopology = { class_name: 'Sequential', config: { name: 'net', layers: [layer] } };
  const file = join(folder, `${models}.json`);
  writeFileSync(
    file,
    JSON.stringify({ modelTopology, weightsManifest: [{ paths: [`${models}.bin`], weights: specs }] }),
  );
  const model = importLayersModel(openByteSource(file), {});
  return Array.from(Object.values(interpret(model, { [model.graph.inputs[0]!.name]: x }))[0]!);
}

function close(t: ExecutionContext, found: readonly number[], expected: readonly number[], what: string): void {
  t.is(found.length, expected.length, what);
  found.forEach((value, index) =>
    t.true(Math.abs(value - expected[index]!) < 1e-5, `${what}: ${value}, not ${expected[index]}`),
  );
}

const x = [-3, -0.5, 0, 2];

test('activations that no single op has are made of several', (t) => {
  const functions: Readonly<Record<string, (v: number) => number>> = {
    selu: (v) => 1.0507009873554805 * (v > 0 ? v : 1.6732632423543772 * Math.expm1(v)),
    softsign: (v) => v / (1 + Math.abs(v)),
    mish: (v) => v * Math.tanh(Math.log1p(Math.exp(v))),
  };
  for (const [activation, of] of Object.entries(functions)) {
    close(t, run('Activation', { activation }, [1, 1, 4], x), x.map(of), activation);
  }
});

test('a ReLU has a slope below and a ceiling above, both at once if asked', (t) => {
  const layer = (config: Record<string, unknown>) => run('ReLU', config, [1, 1, 4], x);
  close(t, layer({ max_value: 1, negative_slope: 0.5 }), [-1.5, -0.25, 0, 1], 'both');
  close(t, layer({ max_value: null, negative_slope: 0.5 }), [-1.5, -0.25, 0, 2], 'slope');
  close(t, layer({ max_value: 6, negative_slope: 0 }), [0, 0, 0, 2], 'ceiling');
});

test('a PReLU has a slope for each value, unless axes share it', (t) => {
  const slopes = [0.1, 0.2, 0.3, 0.4];
  close(t, run('PReLU', {}, [1, 2, 2], [-1, -1, 1, -1], { alpha: slopes }, [1, 2, 2]), [-0.1, -0.2, 1, -0.4], 'each');
  close(
    t,
    run('PReLU', {}, [1, 2, 2], [-1, -1, 1, -1], { alpha: [0.1, 0.2] }, [1, 1, 2]),
    [-0.1, -0.2, 1, -0.2],
    'shared',
  );
});

test('a reshape keeps one size open, as Keras and as TensorFlow.js write it', (t) => {
  for (const open of [-1, null]) {
    close(t, run('Reshape', { target_shape: [open, 2] }, [1, 1, 4], x), x, `${open}`);
  }
});

test('layer normalisation works on the channels of each pixel', (t) => {
  const parts = { gamma: [1, 2], beta: [0, 10] };
  const found = run('LayerNormalization', { axis: [3], epsilon: 0 }, [1, 2, 2], [1, 3, 10, -10], parts);
  close(t, found, [-1, 12, 1, 8], 'both pixels');
});
