import {
  type Activation,
  assignmentMask,
  type Connectivity,
  elementCount,
  gateCount,
  type Graph,
  inferShapes,
  mapSource,
  Mask,
  type Model,
  type Node,
  type NodeOf,
  type Shape,
  type StoredTensor,
  type Weight,
} from '@dgconv/core';

/** Numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface RandomNetworkOptions {
  readonly seed: number;
  /** Nodes before the head. */
  readonly size: number;
  /**
   * `integers`: kernels and biases in -1, 0, 1, batch norm by powers of two with epsilon 0, so that every order of summation gives
   * the same bits; `floats`: anything.
   */
  readonly values: 'integers' | 'floats';
}

type OpOfRandomNetwork =
  | 'conv'
  | 'depthwise'
  | 'batch-norm'
  | 'activation'
  | 'add'
  | 'multiply'
  | 'concat'
  | 'shuffle'
  | 'slice'
  | 'max-pool'
  | 'average-pool'
  | 'pad'
  | 'affine'
  | 'dropout'
  | 'transposed'
  | 'prelu';

const ops: readonly OpOfRandomNetwork[] = [
  'conv',
  'conv',
  'conv',
  'conv',
  'conv',
  'depthwise',
  'batch-norm',
  'batch-norm',
  'batch-norm',
  'activation',
  'activation',
  'activation',
  'add',
  'add',
  'multiply',
  'concat',
  'concat',
  'shuffle',
  'slice',
  'max-pool',
  'average-pool',
  'pad',
  'affine',
  'dropout',
  'transposed',
  'prelu',
];

/**
 * A random network with branches, residual additions, concatenations, shuffles and convolutions of every connectivity, whose
 * output depends on all that was not cut off. For tests.
 */
export function randomNetwork({ seed, size, values }: RandomNetworkOptions): Model {
  return new NetworkMaker(randomNumbers(seed), values).make(size);
}

/** Feeds for all inputs of a graph: small integers, or floats in [-1, 1). */
export function randomFeeds(
  graph: Graph,
  seed: number,
  values: RandomNetworkOptions['values'],
): Record<string, Float32Array> {
  const random = randomNumbers(seed);
  return Object.fromEntries(
    graph.inputs.map(({ name, shape }) => [
      name,
      Float32Array.from({ length: elementCount(shape) }, () =>
        values === 'integers' ? Math.floor(random() * 7) - 3 : random() * 2 - 1,
      ),
    ]),
  );
}

class NetworkMaker {
  readonly #nodes: Node[] = [];
  readonly #tensors = new Map<string, StoredTensor>();
  readonly #shapes = new Map<string, Shape>();

  constructor(
    readonly random: () => number,
    readonly values: RandomNetworkOptions['values'],
  ) {}

  make(size: number): Model {
    const inputs = [{ name: 'x', shape: [1, 4 + this.#below(3), 4 + this.#below(3), 1 + this.#below(8)] }];
    this.#shapes.set('x', inputs[0]!.shape);
    for (let count = 0; count < size; count += 1) this.#grow(this.#pick(ops));
    const loose = this.#looseEnds();
    const outputs = loose.map((value, index) => ({ name: `y${index}`, value: this.#head(value) }));
    const graph: Graph = {
      formatVersion: '1.0',
      nodes: this.#nodes,
      inputs,
      outputs,
      metadata: { name: 'random' },
    };
    inferShapes(graph);
    return { graph, weights: mapSource(this.#tensors) };
  }

  #below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  #shuffled(count: number): number[] {
    const order = Array.from({ length: count }, (_, index) => index);
    for (let at = count - 1; at > 0; at -= 1) {
      const other = this.#below(at + 1);
      [order[at], order[other]] = [order[other]!, order[at]!];
    }
    return order;
  }

  /** A value of rank 4, more likely a late one. */
  #value(accepts: (shape: Shape) => boolean = () => true): string | undefined {
    const all = [...this.#shapes].filter(([, shape]) => shape.length === 4 && accepts(shape)).map(([value]) => value);
    return this.random() < 0.6 ? all.slice(-3).at(this.#below(Math.min(3, all.length))) : all[this.#below(all.length)];
  }

  #weight(name: string, shape: Shape, make: () => number): Weight {
    this.#tensors.set(name, { shape, values: Float32Array.from({ length: elementCount(shape) }, make) });
    return { kind: 'stored', name };
  }

  #signed = (): number => (this.values === 'integers' ? this.#below(3) - 1 : this.random() * 2 - 1);
  #powerOfTwo = (): number => (this.values === 'integers' ? this.#pick([0.5, 1, 2]) : 0.5 + this.random());

  #push(node: Node, shape: Shape): string {
    this.#nodes.push(node);
    this.#shapes.set(node.id, shape);
    return node.id;
  }

  #id(op: string): string {
    return `${op}${this.#nodes.length}`;
  }

  #grow(kind: OpOfRandomNetwork): void {
    const x = this.#value()!;
    const shape = this.#shapes.get(x)!;
    const [, height, width, channels] = shape as [number, number, number, number];
    const base = { inputs: [x], weights: {}, origin: [] };
    switch (kind) {
      case 'conv':
        return void this.#conv(x, this.#connectivity(channels));
      case 'depthwise':
        return void this.#conv(x, permutedGroups(this.#shuffled(channels), this.#shuffled(channels), channels));
      case 'transposed':
        return this.#transposed(x);
      case 'batch-norm': {
        const id = this.#id('bn');
        const vector = (name: string, make: () => number): Weight => this.#weight(`${id}.${name}`, [channels], make);
        const epsilon = this.values === 'integers' ? 0 : 1e-3;
        const weights = {
          gamma: vector('gamma', this.#powerOfTwo),
          beta: vector('beta', this.#signed),
          mean: vector('mean', this.#signed),
          variance: vector('variance', () =>
            this.values === 'integers' ? this.#pick([0.25, 1, 4]) : 0.5 + this.random(),
          ),
        };
        return void this.#push({ ...base, id, op: 'batch-norm', attrs: { channels, epsilon }, weights }, shape);
      }
      case 'affine': {
        const id = this.#id('affine');
        const scale = this.#weight(`${id}.scale`, [channels], this.#powerOfTwo);
        const shift = this.#weight(`${id}.shift`, [channels], this.#signed);
        return void this.#push({ ...base, id, op: 'affine', attrs: { channels }, weights: { scale, shift } }, shape);
      }
      case 'prelu': {
        const id = this.#id('prelu');
        const slope = this.#weight(`${id}.slope`, [channels], this.#powerOfTwo);
        return void this.#push({ ...base, id, op: 'prelu', attrs: { channels }, weights: { slope } }, shape);
      }
      case 'activation':
        return void this.#activation(x);
      case 'dropout':
        return void this.#push({ ...base, id: this.#id('dropout'), op: 'dropout', attrs: { rate: 0.5 } }, shape);
      case 'add':
      case 'multiply': {
        const other = this.#value((candidate) => candidate.join() === shape.join())!;
        // Products of products outgrow exact integers.
        const [left, right] = kind === 'multiply' ? [this.#activation(x), this.#activation(other)] : [x, other];
        const id = this.#id(kind);
        const attrs = { function: kind, activation: { function: 'identity' as const } };
        return void this.#push({ ...base, id, op: 'binary', inputs: [left, right], attrs }, shape);
      }
      case 'concat': {
        const other = this.#value((candidate) => candidate[1] === height && candidate[2] === width)!;
        const total = channels + this.#shapes.get(other)!.at(-1)!;
        if (total > 24) return;
        const id = this.#id('concat');
        return void this.#push(
          { ...base, id, op: 'concat', inputs: [x, other], attrs: { axis: 3 } },
          shape.with(3, total),
        );
      }
      case 'shuffle':
        return void this.#push(
          { ...base, id: this.#id('shuffle'), op: 'take', attrs: { axis: 3, indices: this.#shuffled(channels) } },
          shape,
        );
      case 'slice': {
        const length = 1 + this.#below(channels);
        const starts = [0, 0, 0, this.#below(channels - length + 1)];
        const sizes = shape.with(3, length);
        const attrs = { starts, sizes, steps: [1, 1, 1, 1] };
        return void this.#push({ ...base, id: this.#id('slice'), op: 'slice', attrs }, sizes);
      }
      case 'max-pool':
      case 'average-pool': {
        if (height < 4 || width < 4) return;
        const window = { kernelSize: [2, 2], strides: [2, 2], dilations: [1, 1], padding: noPadding } as const;
        const pooled = [1, Math.floor(height / 2), Math.floor(width / 2), channels];
        if (kind === 'max-pool') {
          return void this.#push({ ...base, id: this.#id('maxpool'), op: 'max-pool', attrs: window }, pooled);
        }
        const attrs = { ...window, countPadding: true };
        return void this.#push({ ...base, id: this.#id('avgpool'), op: 'average-pool', attrs }, pooled);
      }
      case 'pad': {
        if (height > 7) return;
        const attrs = { before: [0, 1, 0, 0], after: [0, 0, 1, 0], mode: 'constant', value: 0 } as const;
        return void this.#push({ ...base, id: this.#id('pad'), op: 'pad', attrs }, [
          1,
          height + 1,
          width + 1,
          channels,
        ]);
      }
    }
  }

  #activation(x: string): string {
    const activation: Activation = this.#pick<Activation>([
      { function: 'relu' },
      { function: 'relu6' },
      { function: 'clip', alpha: -8, beta: 8 },
    ]);
    return this.#push(
      { id: this.#id('act'), op: 'activation', inputs: [x], attrs: { activation }, weights: {}, origin: [] },
      this.#shapes.get(x)!,
    );
  }

  #conv(x: string, connectivity: Connectivity): string {
    const id = this.#id('conv');
    const [, height, width] = this.#shapes.get(x)! as [number, number, number];
    const { channelsIn, channelsOut } = connectivity;
    const extent = this.#pick([1, 1, 3]);
    const stride = extent === 3 && height > 3 && width > 3 ? this.#pick([1, 1, 2]) : 1;
    const side = extent === 3 ? 1 : 0;
    const kernelShape =
      connectivity.kind === 'equal'
        ? [channelsOut, channelsIn / connectivity.groups, extent, extent]
        : [channelsOut, channelsIn, extent, extent];
    const deciding: Partial<NodeOf<'conv2d'>['weights']> =
      connectivity.kind !== 'learned'
        ? {}
        : connectivity.rule === 'dgconv'
          ? { gates: this.#weight(`${id}.gates`, [gateCount(channelsOut, channelsIn)], () => this.random() - 0.6) }
          : connectivity.rule === 'flgc'
            ? {
                inputAssignment: this.#weight(`${id}.S`, [channelsIn, connectivity.groups], this.random),
                outputAssignment: this.#weight(`${id}.T`, [channelsOut, connectivity.groups], this.random),
              }
            : { mask: this.#weight(`${id}.mask`, [channelsOut, channelsIn, 1, 1], () => this.#below(2)) };
    const size = (pixels: number): number => Math.floor((pixels + 2 * side - extent) / stride) + 1;
    return this.#push(
      {
        id,
        op: 'conv2d',
        inputs: [x],
        attrs: {
          kernelSize: [extent, extent],
          strides: [stride, stride],
          dilations: [1, 1],
          padding: { top: side, bottom: side, left: side, right: side },
          connectivity,
          pre: 'none',
          activation: { function: 'identity' },
        },
        weights: {
          kernel: this.#weight(`${id}.kernel`, kernelShape, this.#signed),
          ...(this.random() < 0.5 ? { bias: this.#weight(`${id}.bias`, [channelsOut], this.#signed) } : {}),
          ...deciding,
        },
        origin: [id],
      },
      [1, size(height), size(width), channelsOut],
    );
  }

  #transposed(x: string): void {
    const [, height, width, channelsIn] = this.#shapes.get(x)! as [number, number, number, number];
    if (height > 4) return;
    const groups = channelsIn % 2 === 0 ? this.#pick([1, 2]) : 1;
    const channelsOut = groups * (1 + this.#below(4));
    const id = this.#id('up');
    const kernelSize = [2, 2] as const;
    this.#push(
      {
        id,
        op: 'conv2d-transpose',
        inputs: [x],
        attrs: {
          kernelSize,
          strides: [2, 2],
          dilations: [1, 1],
          padding: noPadding,
          outputPadding: [0, 0],
          channelsIn,
          channelsOut,
          groups,
          activation: { function: 'identity' },
        },
        weights: {
          kernel: this.#weight(`${id}.kernel`, [channelsIn, channelsOut / groups, ...kernelSize], this.#signed),
        },
        origin: [id],
      },
      [1, height * 2, width * 2, channelsOut],
    );
  }

  /** One of every kind of mask, learned rule and grouping. */
  #connectivity(channelsIn: number): Connectivity {
    const channelsOut = this.#pick([2, 3, 4, 6, 8, 12, channelsIn]);
    const counts = { channelsOut, channelsIn };
    const masked = (mask: Mask): Connectivity => ({ kind: 'masked', ...counts, mask });
    const groups = this.#pick(commonDivisors(channelsIn, channelsOut));
    switch (
      this.#pick(['dense', 'equal', 'grouped', 'unequal', 'shared', 'shared-out', 'random', 'learned'] as const)
    ) {
      case 'dense':
        return { kind: 'dense', ...counts, groups: 1 };
      case 'equal': {
        const [inputs, outputs] = [this.#shuffled(channelsIn), this.#shuffled(channelsOut)];
        return masked(
          Mask.fromFunction(
            channelsOut,
            channelsIn,
            (row, col) =>
              Math.floor(outputs[row]! / (channelsOut / groups)) === Math.floor(inputs[col]! / (channelsIn / groups)),
          ),
        );
      }
      case 'grouped':
        return groups === 1
          ? { kind: 'dense', ...counts, groups: 1 }
          : permutedGroups(range(channelsOut), range(channelsIn), groups);
      case 'unequal':
        return masked(
          assignmentMask(
            range(channelsIn).map(() => this.#below(3)),
            range(channelsOut).map(() => this.#below(3)),
          ),
        );
      case 'shared': {
        const kept = range(2).map(() => this.#shuffled(channelsIn).slice(0, Math.ceil(channelsIn / 2)));
        return masked(
          Mask.fromSupports(
            channelsIn,
            range(channelsOut).map((row) => kept[row % 2]!),
          ),
        );
      }
      case 'shared-out': {
        const kept = range(2).map(() => this.#shuffled(channelsOut).slice(0, Math.ceil(channelsOut / 2)));
        return masked(Mask.fromFunction(channelsOut, channelsIn, (row, col) => kept[col % 2]!.includes(row)));
      }
      case 'random':
        return masked(Mask.fromFunction(channelsOut, channelsIn, () => this.random() < 0.4));
      case 'learned':
        return this.#pick<Connectivity>([
          { kind: 'learned', rule: 'dgconv', ...counts },
          { kind: 'learned', rule: 'flgc', ...counts, groups: 3 },
        ]);
    }
  }

  /** Values that nothing reads, so that nothing is dead; at most three. */
  #looseEnds(): string[] {
    const read = new Set(this.#nodes.flatMap(({ inputs }) => inputs));
    return [...this.#shapes.keys()].filter((value) => !read.has(value)).slice(-3);
  }

  /** A classifier head, or nothing. */
  #head(value: string): string {
    const shape = this.#shapes.get(value)!;
    if (shape.length !== 4 || this.random() < 0.3) return value;
    const [, height, width, channels] = shape as [number, number, number, number];
    const base = { weights: {}, origin: [] };
    const flat =
      this.random() < 0.5
        ? this.#push(
            {
              ...base,
              id: this.#id('flat'),
              op: 'reshape',
              inputs: [value],
              attrs: { shape: [1, height * width * channels] },
            },
            [1, height * width * channels],
          )
        : this.#push(
            {
              ...base,
              id: this.#id('sum'),
              op: 'reduce',
              inputs: [value],
              attrs: { function: 'sum', axes: [1, 2], keepDims: false },
            },
            [1, channels],
          );
    const channelsIn = this.#shapes.get(flat)!.at(-1)!;
    const id = this.#id('fc');
    return this.#push(
      {
        id,
        op: 'dense',
        inputs: [flat],
        attrs: { channelsIn, channelsOut: 5, activation: { function: 'identity' } },
        weights: {
          kernel: this.#weight(`${id}.kernel`, [5, channelsIn], this.#signed),
          bias: this.#weight(`${id}.bias`, [5], this.#signed),
        },
        origin: [id],
      },
      [1, 5],
    );
  }
}

const noPadding = { top: 0, bottom: 0, left: 0, right: 0 };

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function commonDivisors(left: number, right: number): number[] {
  return range(Math.min(left, right))
    .map((index) => index + 1)
    .filter((divisor) => left % divisor === 0 && right % divisor === 0);
}

/** Equal groups of channels in given orders; canonical: groups by smallest input, channels ascending within. */
function permutedGroups(outputs: readonly number[], inputs: readonly number[], groups: number): Connectivity {
  const [outputSize, inputSize] = [outputs.length / groups, inputs.length / groups];
  const blocks = range(groups)
    .map((group) => ({
      outputs: outputs.slice(group * outputSize, (group + 1) * outputSize).toSorted((a, b) => a - b),
      inputs: inputs.slice(group * inputSize, (group + 1) * inputSize).toSorted((a, b) => a - b),
    }))
    .sort((a, b) => a.inputs[0]! - b.inputs[0]!);
  if (groups === 1) return { kind: 'dense', channelsOut: outputs.length, channelsIn: inputs.length, groups: 1 };
  return {
    kind: 'equal',
    channelsOut: outputs.length,
    channelsIn: inputs.length,
    groups,
    outputOrder: blocks.flatMap((block) => block.outputs),
    inputOrder: blocks.flatMap((block) => block.inputs),
  };
}
