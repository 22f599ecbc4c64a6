import {
  type Activation,
  type Grouping,
  identityPermutation,
  inferShapes,
  mapSource,
  Mask,
  type Model,
  type Node,
  RandomSource,
  recogniseGrouping,
  type Shape,
  slotsOf,
  type StoredTensor,
} from '@dgconv/core';

const activations: readonly Activation[] = [
  { function: 'identity' },
  { function: 'relu' },
  { function: 'relu6' },
  { function: 'clip', alpha: -3, beta: 5 },
];

/** Small integers everywhere, so that every engine agrees to the bit; otherwise floats in ±1. */
export interface RandomModelOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly exact: boolean;
}

/** A model over random ops, groupings and connections, and feeds for `batch` images. Batchable. */
export class RandomModel {
  readonly model: Model;
  readonly #random: RandomSource;
  readonly #options: RandomModelOptions;
  readonly #nodes: Node[] = [];
  readonly #shapes = new Map<string, Shape>();

  constructor(options: RandomModelOptions) {
    this.#options = options;
    this.#random = new RandomSource(options.seed);
    const input: Shape = [1, this.#between(3, 7), this.#between(3, 7), this.#between(1, 12)];
    this.#shapes.set('input', input);
    for (let index = 0; index < options.nodes; index++) this.#addNode(`node${index}`);
    const last = this.#nodes.at(-1)!.id;
    const middle = this.#pick(this.#nodes).id;
    this.model = {
      graph: {
        formatVersion: '1.0',
        nodes: this.#nodes,
        inputs: [{ name: 'input', shape: input }],
        outputs: [
          { name: 'last', value: last },
          { name: 'middle', value: middle },
        ],
        metadata: { name: `random ${options.seed}` },
      },
      weights: mapSource(this.#weights()),
    };
  }

  /** Values for the input, `batch` images. */
  feeds(batch: number): { input: Float32Array } {
    const [, height, width, channels] = this.#shapes.get('input') as [number, number, number, number];
    return { input: this.#values(batch * height * width * channels) };
  }

  #between(least: number, most: number): number {
    return least + Math.floor(this.#random.uniform() * (most - least + 1));
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#between(0, list.length - 1)]!;
  }

  #values(length: number): Float32Array {
    return Float32Array.from({ length }, () =>
      this.#options.exact ? this.#between(-2, 2) : 2 * this.#random.uniform() - 1,
    );
  }

  #weights(): Map<string, StoredTensor> {
    const tensors = new Map<string, StoredTensor>();
    for (const node of this.#nodes)
      for (const { name, shape } of slotsOf(node))
        if (name in node.weights)
          tensors.set(`${node.id}.${name}`, {
            shape,
            values: this.#values(shape.reduce((product, size) => product * size, 1)),
          });
    return tensors;
  }

  #grouping(channelsIn: number): Grouping {
    const kind = this.#between(0, 4);
    const channelsOut = this.#between(1, 20);
    if (kind === 0) return { kind: 'dense', groups: 1, channelsOut, channelsIn };
    if (kind === 1) {
      const groups = this.#pick([1, 2, 3, 4, 6].filter((count) => channelsIn % count === 0));
      const out = groups * this.#between(1, 5);
      if (groups === 1) return { kind: 'dense', groups: 1, channelsOut: out, channelsIn };
      const [outputOrder, inputOrder] = [identityPermutation(out), identityPermutation(channelsIn)];
      return { kind: 'equal', groups, channelsOut: out, channelsIn, outputOrder, inputOrder };
    }
    if (kind === 2) {
      const groupOf = (): number => this.#between(0, 2);
      const outputs = Array.from({ length: channelsOut }, groupOf);
      const inputs = Array.from({ length: channelsIn }, groupOf);
      return recogniseGrouping(Mask.fromFunction(channelsOut, channelsIn, (o, i) => outputs[o] === inputs[i]));
    }
    const supports = Array.from({ length: this.#between(1, 4) }, () =>
      Array.from({ length: channelsIn }, (_, channel) => channel).filter(() => this.#random.uniform() < 0.5),
    );
    const rows = Array.from({ length: channelsOut }, () => this.#pick(supports));
    if (kind === 3) return recogniseGrouping(Mask.fromSupports(channelsIn, rows));
    return recogniseGrouping(Mask.fromFunction(channelsOut, channelsIn, () => this.#random.uniform() < 0.4));
  }

  #window(shape: Shape, isPool: boolean) {
    const size = (axis: number): number => this.#between(1, Math.min(3, shape[axis]!));
    const kernelSize = [size(1), size(2)] as const;
    const pad = (length: number): number => this.#between(0, length - 1);
    return {
      kernelSize,
      strides: [this.#between(1, 2), this.#between(1, 2)] as const,
      dilations: isPool ? ([1, 1] as const) : ([this.#between(1, 2), 1] as const),
      padding: {
        top: pad(kernelSize[0]) + (isPool ? 0 : 1),
        bottom: pad(kernelSize[0]) + (isPool ? 0 : 1),
        left: pad(kernelSize[1]),
        right: pad(kernelSize[1]),
      },
    };
  }

  #addNode(id: string): void {
    const values = [...this.#shapes.keys()];
    const input = this.#random.uniform() < 0.7 ? values.at(-1)! : this.#pick(values);
    const shape = this.#shapes.get(input)!;
    const twins = values.filter((value) => this.#shapes.get(value)!.join() === shape.join());
    const activation = this.#pick(activations);
    const channels = shape.at(-1)!;
    const stored = (name: string) => ({ kind: 'stored', name: `${id}.${name}` }) as const;
    const parts: Pick<Node, 'op' | 'attrs'> & Partial<Node> = ((): Pick<Node, 'op' | 'attrs'> & Partial<Node> => {
      switch (this.#between(0, shape.length === 4 ? 11 : 4)) {
        case 0:
          return { op: 'activation', attrs: { activation } };
        case 1:
          return { op: 'binary', inputs: [input, this.#pick(twins)], attrs: { function: 'add', activation } };
        case 2:
          return { op: 'affine', attrs: { channels }, weights: { scale: stored('scale'), shift: stored('shift') } };
        case 3: {
          const indices = Array.from({ length: this.#between(1, 16) }, () => this.#between(0, channels - 1));
          return { op: 'take', attrs: { axis: shape.length - 1, indices } };
        }
        case 4:
          return { op: 'concat', inputs: [input, this.#pick(twins)], attrs: { axis: shape.length - 1 } };
        case 5:
          return { op: 'max-pool', attrs: this.#window(shape, true) };
        case 6:
          return { op: 'reshape', attrs: { shape: [1, shape[2]!, shape[1]!, channels] } };
        case 7:
          return { op: 'transpose', attrs: { permutation: [0, 2, 1, 3] } };
        default:
          return this.#conv(id, input, shape, activation);
      }
    })();
    const node = { id, inputs: [input], weights: {}, origin: [id], ...parts } as Node;
    const graph = { formatVersion: '1.0', nodes: [node], outputs: [], metadata: { name: '' } } as const;
    const inputs = node.inputs.map((name) => ({ name, shape: this.#shapes.get(name)! }));
    this.#shapes.set(id, inferShapes({ ...graph, inputs }).get(id)!);
    this.#nodes.push(node);
  }

  #conv(id: string, input: string, shape: Shape, activation: Activation): Pick<Node, 'op' | 'attrs'> & Partial<Node> {
    const stored = (name: string) => ({ kind: 'stored', name: `${id}.${name}` }) as const;
    const connectivity = this.#grouping(shape[3]!);
    const window = this.#window(shape, false);
    const pre = this.#random.uniform() < 0.3;
    const size = (axis: 0 | 1, before: number, after: number): number =>
      Math.floor(
        (shape[axis + 1]! + before + after - window.dilations[axis] * (window.kernelSize[axis] - 1) - 1) /
          window.strides[axis],
      ) + 1;
    const { padding } = window;
    const output = [
      1,
      size(0, padding.top, padding.bottom),
      size(1, padding.left, padding.right),
      connectivity.channelsOut,
    ];
    const residual = [...this.#shapes].find(([, other]) => other.join() === output.join())?.[0];
    return {
      op: 'conv2d',
      inputs: residual === undefined ? [input] : [input, residual],
      attrs: { ...window, connectivity, pre: pre ? 'affine-relu' : 'none', activation },
      weights: {
        kernel: stored('kernel'),
        ...(this.#random.uniform() < 0.7 ? { bias: stored('bias') } : {}),
        ...(pre ? { preScale: stored('preScale'), preShift: stored('preShift') } : {}),
      },
    };
  }
}
