import test from 'ava';
import { chainsModule, measureWasmPeakGflops } from './wasm-peak.js';

test('the loop computes a multiply-add for every chain and round', async (t) => {
  const { instance } = await WebAssembly.instantiate(chainsModule(3, false));
  const f = instance.exports['f'] as (rounds: number, x: number) => number;
  // From 2: 2·2 + 2 = 6, 14, 30; three chains.
  t.deepEqual(
    [1, 2, 3].map((rounds) => f(rounds, 2)),
    [18, 42, 90],
  );
});

test('the peak of WebAssembly is that of the best of five runs, and is measured again each time', (t) => {
  // Every run takes a millisecond, for which a thousand rounds of fourteen multiply-adds of four lanes are enough.
  let ms = 0;
  t.is(
    measureWasmPeakGflops(false, () => ms++),
    (2 * 4 * 14 * 1000) / 1e6,
  );
  const readings = [0, 9, 10, 17, 20, 24, 30, 38, 40, 46];
  t.is(
    measureWasmPeakGflops(false, () => readings.shift()!),
    (2 * 4 * 14 * 1000) / 4e6,
  );
  t.deepEqual(readings, []);
});
