import type { RuntimeName } from '@dgconv/runtimes';
import test from 'ava';
import { type RowFacts, rowsOf } from './rows.js';

const fact = (runtime: RuntimeName, threads = 1): RowFacts => ({
  name: 'net',
  runtime,
  threads,
  loadMs: 1,
  macs: 50e6,
  executedMacs: 40e6,
  peakMemoryBytes: null,
});
const timing = (name: string, ...sortedMs: number[]) => ({ name, firstMs: 9, sortedMs });
const unknown = { native: null, wasm: null };

test('GFLOP/s are two per multiply-add, and shares are of the peak of all threads', (t) => {
  const [ours] = rowsOf([fact('edge', 2)], [timing('edge', 1, 2, 4)], { native: 100, wasm: 10 });
  t.is(ours!.medianMs, 2);
  t.is(ours!.gflops, 50);
  t.is(ours!.peakShare, 0.25);
  t.is(ours!.executedPeakShare, 0.2);
  t.deepEqual([ours!.minMs, ours!.maxMs, ours!.firstMs], [1, 4, 9]);
});

test('the speed-up is that over ONNX Runtime in the same run, and unknown without it', (t) => {
  const both = rowsOf([fact('edge'), fact('ort')], [timing('edge', 2), timing('ort', 5)], unknown);
  t.deepEqual(
    both.map(({ speedup }) => speedup),
    [2.5, 1],
  );
  t.is(both[0]!.peakShare, null);
  t.is(rowsOf([fact('edge')], [timing('edge', 2)], unknown)[0]!.speedup, null);
});

test('WebAssembly is measured against the peak of WebAssembly', (t) => {
  const facts = [fact('edge-wasm'), fact('ort'), fact('litert')];
  const rows = rowsOf(
    facts,
    facts.map(({ runtime }) => timing(runtime, 2)),
    { native: 200, wasm: 80 },
  );
  t.deepEqual(
    rows.map(({ peakGflops, peakShare, executedPeakShare }) => [peakGflops, peakShare, executedPeakShare]),
    [
      [80, 0.625, 0.5],
      [200, 0.25, 0.2],
      [80, 0.625, 0.5],
    ],
  );
});
