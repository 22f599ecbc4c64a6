import { performance } from 'node:perf_hooks';

/** Opcodes that the loop is made of. @see WebAssembly specification, "Binary Format"; relaxed SIMD proposal */
const op = {
  loop: [0x03, 0x40],
  end: [0x0b],
  branchIf: (depth: number) => [0x0d, depth],
  get: (local: number) => [0x20, local],
  set: (local: number) => [0x21, local],
  tee: (local: number) => [0x22, local],
  decrement: [0x41, 1, 0x6b],
  splat: [0xfd, 0x13],
  firstLane: [0xfd, 0x1f, 0],
  add: [0xfd, 0xe4, 0x01],
  multiply: [0xfd, 0xe6, 0x01],
  multiplyAdd: [0xfd, 0x85, 0x02],
} as const;

const vector = (items: readonly (readonly number[])[]): number[] => [items.length, ...items.flat()];

function section(id: number, content: readonly number[]): number[] {
  const size = content.length;
  return [id, (size & 0x7f) | 0x80, size >> 7, ...content]; // LEB128 in two bytes
}

/**
 * A module whose function `f(rounds: i32, x: f32): f32` does `rounds` times for each of `chains` vectors of four lanes
 * `a = a · x + x`, with nothing but registers: as one instruction of relaxed SIMD, or as two.
 */
export function chainsModule(chains: number, isRelaxed: boolean): Uint8Array<ArrayBuffer> {
  const [rounds, seed, x, first] = [0, 1, 2, 3];
  const sums = Array.from({ length: chains }, (_, chain) => first + chain);
  const step = (sum: number): number[] =>
    isRelaxed
      ? [...op.get(sum), ...op.get(x), ...op.get(x), ...op.multiplyAdd, ...op.set(sum)]
      : [...op.get(sum), ...op.get(x), ...op.multiply, ...op.get(x), ...op.add, ...op.set(sum)];
  const code = [
    ...vector([[chains + 1, 0x7b]]), // v128
    ...[x, ...sums].flatMap((local) => [...op.get(seed), ...op.splat, ...op.set(local)]),
    ...op.loop,
    ...sums.flatMap(step),
    ...[...op.get(rounds), ...op.decrement, ...op.tee(rounds), ...op.branchIf(0), ...op.end],
    ...op.get(first),
    ...sums.slice(1).flatMap((sum) => [...op.get(sum), ...op.add]),
    ...op.firstLane,
    ...op.end,
  ];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, 2, 0x7f, 0x7d, 1, 0x7d]])), // (i32, f32) → f32
    ...section(3, vector([[0]])),
    ...section(7, vector([[1, 'f'.charCodeAt(0), 0, 0]])),
    ...section(10, vector([section(0, code).slice(1)])),
  ]);
}

/** As many as an engine's registers hold beside the factor on x64, which is enough to hide most of the latency. */
const chains = 14;
const runMs = 1;
const runs = 5;
const warmUpMs = 100;

/** One loop and how many rounds take about a millisecond. */
class Loop {
  readonly #run: (rounds: number, x: number) => number;
  #rounds = 1000;

  constructor(isRelaxed: boolean, now: () => number) {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(chainsModule(chains, isRelaxed)));
    this.#run = instance.exports['f'] as (rounds: number, x: number) => number;
    // Engines compile what runs often once more, better, and beside us.
    const start = now();
    while (now() - start < warmUpMs) this.#adapt(this.#time(now));
  }

  /** The best of some short runs. */
  gflops(now: () => number): number {
    const times = Array.from({ length: runs }, () => this.#time(now));
    return (2 * 4 * chains * this.#rounds) / (Math.min(...times) * 1e6);
  }

  #time(now: () => number): number {
    const start = now();
    this.#run(this.#rounds, 0.5);
    return now() - start;
  }

  #adapt(ms: number): void {
    this.#rounds = Math.max(1000, Math.round((this.#rounds * runMs) / ms));
  }
}

const loops = new Map<boolean, Loop>();

/**
 * GFLOP/s of one core in WebAssembly's registers: multiply-adds on independent vectors of four lanes and nothing else, compiled by
 * the engine that runs this. One instruction in relaxed SIMD; in plain SIMD a multiplication and an addition that waits for it,
 * so that latency costs a tenth (on Zen 4: 52 where multiplications and additions that do not wait would reach 59).
 * @param now - the clock, in milliseconds; without it the machine's.
 * @throws {WebAssembly.CompileError} if the engine lacks the instructions.
 */
export function measureWasmPeakGflops(isRelaxed = false, now: () => number = () => performance.now()): number {
  let loop = loops.get(isRelaxed);
  if (loop === undefined) loops.set(isRelaxed, (loop = new Loop(isRelaxed, now)));
  return loop.gflops(now);
}
