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

test('the peak of WebAssembly is measured again each time, and more than a loop that is not compiled would reach', (t) => {
  const [first, second] = [measureWasmPeakGflops(), measureWasmPeakGflops()];
  t.true(first > 0.5 && second > 0.5 && Number.isFinite(first + second), `${first}, ${second}`);
});
