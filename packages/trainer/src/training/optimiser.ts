import type { StoredTensor } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import { isTrained, type Parameter, type TrainableNetwork } from '../evaluate/trainable-network.js';
import { momentumUpdate } from '../ops/fused-kernels.js';
import * as tf from '../tf.js';
import type { Recipe } from './recipe.js';

/** SGD with Nesterov's momentum on everything but gates; weight decay on kernels alone. */
export class Optimiser {
  /** What follows its gradient here. */
  readonly parameters: readonly Parameter[];
  readonly #velocities = new Map<string, tfc.Variable>();
  readonly #recipe: Pick<Recipe, 'momentum' | 'weightDecay'>;

  constructor(network: TrainableNetwork, recipe: Pick<Recipe, 'momentum' | 'weightDecay'>) {
    this.#recipe = recipe;
    this.parameters = network.parameters.filter(({ role }) => isTrained(role) && role !== 'gates');
    for (const { name, variable } of this.parameters) {
      const zeros = tf.zerosLike(variable);
      this.#velocities.set(name, tf.variable(zeros, false));
      zeros.dispose();
    }
  }

  /** One step; call it inside `tf.tidy`. @param gradients - by the variables' names; what has none stays. */
  step(gradients: Readonly<Record<string, tfc.Tensor>>, learningRate: number): void {
    const { momentum, weightDecay } = this.#recipe;
    for (const { name, role, variable } of this.parameters) {
      const gradient = gradients[variable.name];
      if (!gradient) continue;
      const velocity = this.#velocities.get(name)!;
      const next = momentumUpdate(
        { parameter: variable, gradient, velocity },
        { learningRate, momentum, weightDecay: role === 'kernel' ? weightDecay : 0, nesterov: true },
      );
      variable.assign(next.parameter);
      velocity.assign(next.velocity);
    }
  }

  /** Velocities by the names of their parameters, in the graph's layout. */
  state(): Map<string, StoredTensor> {
    return new Map(
      this.parameters.map(({ name, shape, layout }) => {
        const values = layout.unpack(Float32Array.from(this.#velocities.get(name)!.dataSync()));
        return [name, { shape, values }];
      }),
    );
  }

  /** Continues from {@link Optimiser.state}. */
  restore(read: (name: string) => Float32Array): void {
    for (const { name, layout } of this.parameters) {
      const values = tf.tensor(layout.pack(read(name)), [...layout.shape]);
      this.#velocities.get(name)!.assign(values);
      values.dispose();
    }
  }

  dispose(): void {
    for (const velocity of this.#velocities.values()) velocity.dispose();
  }
}
