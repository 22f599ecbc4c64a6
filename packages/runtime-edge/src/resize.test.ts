import { type AttrsByOp, interpret, type Model } from '@dgconv/core';
import { singleNodeModel } from '@dgconv/core/testing';
import test from 'ava';
import { encodeEdge } from './edge-encode.js';
import { nativeInstructionSets } from './engine-native.js';
import { EdgeSession, type SessionOptions } from './session.js';
import { testEngines } from './testing/engines.js';

type Attrs = AttrsByOp['resize'];
type Rounding = Attrs['rounding'];

const engines: readonly SessionOptions[] = testEngines.flatMap((engine): SessionOptions[] =>
  engine === 'native' ? nativeInstructionSets().map((isa) => ({ engine, isa })) : [{ engine }],
);

/** A whole position `numerator / denominator`, in integers. */
const rounders: Readonly<Record<Rounding, (numerator: number, denominator: number) => number>> = {
  floor: (n, d) => (n - (((n % d) + d) % d)) / d,
  ceil: (n, d) => -rounders.floor(-n, d),
  'round-prefer-floor': (n, d) => rounders.ceil(2 * n - d, 2 * d),
  'round-prefer-ceil': (n, d) => rounders.floor(2 * n + d, 2 * d),
};
const roundings = Object.keys(rounders) as Rounding[];

interface Case {
  readonly attrs: Attrs;
  readonly inputWidth: number;
  /** The pixel that the output pixel is taken from. */
  readonly pixelOf: (at: number) => number;
}

/** Scales (output / input) whose reciprocals binary fractions do not hold, and some that they do. */
const scales: readonly (readonly [number, number])[] = [[3, 1], [3, 2], [3, 4], [2, 1], [1, 2], [5, 1], [5, 2], [7, 3], [6, 5], [10, 7], [13, 5]]; // prettier-ignore

const width = 23;

const scaled: Case[] = scales.flatMap(([numerator, denominator]) =>
  roundings.flatMap((rounding) =>
    (['asymmetric', 'half-pixel'] as const).map((coordinates): Case => {
      const size: [number, number] = [1, Math.floor((width * numerator) / denominator)];
      return {
        attrs: { size, mode: 'nearest', coordinates, rounding, scales: [1, denominator / numerator] },
        inputWidth: width,
        pixelOf: (at) =>
          coordinates === 'asymmetric'
            ? rounders[rounding](at * denominator, numerator)
            : rounders[rounding]((2 * at + 1) * denominator - numerator, 2 * numerator),
      };
    }),
  ),
);

const bySize: Case[] = [1, 2, 5, 11].flatMap((inputWidth) =>
  [2, 9, 23, 50].flatMap((outputWidth) =>
    roundings.flatMap((rounding) =>
      (['align-corners', 'asymmetric', 'half-pixel'] as const).map((coordinates): Case => {
        const pixel = {
          'align-corners': (at: number) => rounders[rounding](at * (inputWidth - 1), outputWidth - 1),
          asymmetric: (at: number) => rounders[rounding](at * inputWidth, outputWidth),
          'half-pixel': (at: number) => rounders[rounding]((2 * at + 1) * inputWidth - outputWidth, 2 * outputWidth),
        };
        return {
          attrs: { size: [1, outputWidth], mode: 'nearest', coordinates, rounding, scales: null },
          inputWidth,
          pixelOf: pixel[coordinates],
        };
      }),
    ),
  ),
);

const modelOf = ({ attrs, inputWidth }: Case): Model =>
  singleNodeModel([[1, 1, inputWidth, 1]], { op: 'resize', attrs });

const feedsOf = ({ inputWidth }: Case) => ({ a: Float32Array.from({ length: inputWidth }, (_, at) => at) });

const expected = ({ attrs, inputWidth, pixelOf }: Case) =>
  Float32Array.from({ length: attrs.size[1] }, (_, at) => Math.min(Math.max(pixelOf(at), 0), inputWidth - 1));

for (const [title, cases] of [
  ['of scales', scaled],
  ['of sizes', bySize],
] as const) {
  test(`the interpreter takes the pixel of exact arithmetic ${title}`, (t) => {
    for (const one of cases)
      t.deepEqual(Float32Array.from(interpret(modelOf(one), feedsOf(one)).y!), expected(one), JSON.stringify(one));
  });
  for (const options of engines) {
    test(`the nearest pixel is that of exact arithmetic ${title} on ${JSON.stringify(options)}`, async (t) => {
      for (const one of cases) {
        const session = await EdgeSession.load(encodeEdge(modelOf(one)), options);
        t.deepEqual(session.run(feedsOf(one))['y'], expected(one), JSON.stringify(one));
        session.dispose();
      }
    });
  }
}
