import { InvalidInputError } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import type { TrainableNetwork } from '../evaluate/trainable-network.js';
import * as tf from '../tf.js';
import { type Budget, budgetPressure, costOfGates, gatedLayers, type GatedLayer, zetaOf } from './budget.js';
import { projectGates, type SwitchedGate } from './project-gates.js';

/** What a checkpoint holds of the gates beside their values. */
export interface GateTrainerState {
  readonly velocities: Readonly<Record<string, readonly number[]>>;
  /** Gates that stay as they are, by layer: 1 for each such gate. */
  readonly fixed: Readonly<Record<string, readonly number[]>>;
}

/** The gates of a network in training: a few numbers a layer, so plain arrays beside the variables that the layers read. */
export class GateTrainer {
  readonly layers: readonly GatedLayer[];
  /** Raw gates by node id. */
  readonly values = new Map<string, Float32Array>();
  readonly #network: TrainableNetwork;
  readonly #budget: Budget | null;
  readonly #velocities = new Map<string, Float64Array>();
  readonly #fixed = new Map<string, Uint8Array>();

  constructor(network: TrainableNetwork, budget: Budget | null) {
    this.#network = network;
    this.#budget = budget;
    this.layers = budget?.layers ?? gatedLayers(network.graph);
    for (const { id, factors } of this.layers) {
      this.values.set(id, Float32Array.from(this.#variable(id).dataSync()));
      this.#velocities.set(id, new Float64Array(factors.length));
      this.#fixed.set(id, new Uint8Array(factors.length));
    }
  }

  /** ζ, the connections of all gated layers. */
  get zeta(): number {
    return zetaOf(this.layers, this.values);
  }

  /** Whether no gate can move any more. */
  get isFrozen(): boolean {
    return [...this.#fixed.values()].every((fixed) => fixed.every((flag) => flag === 1));
  }

  /** Factor of the loss while the gates cost more than the budget. */
  get lossFactor(): number {
    return (this.#budget && budgetPressure(this.#budget, this.values)?.factor) ?? 1;
  }

  get variables(): tfc.Variable[] {
    return this.layers.map(({ id }) => this.#variable(id));
  }

  /**
   * One step of Nesterov's SGD, without weight decay.
   * @param gradients - of `loss · lossFactor`, by the variables' names.
   * @throws {InvalidInputError} if a gate becomes NaN.
   */
  step(gradients: Readonly<Record<string, tfc.Tensor>>, loss: number, learningRate: number, momentum: number): void {
    const pressure = this.#budget && budgetPressure(this.#budget, this.values);
    for (const { id } of this.layers) {
      const gradient = gradients[this.#variable(id).name]?.dataSync();
      if (!gradient) continue;
      const slopes = pressure?.gradients.get(id);
      const values = this.values.get(id)!;
      const velocity = this.#velocities.get(id)!;
      const fixed = this.#fixed.get(id)!;
      for (let k = 0; k < values.length; k++) {
        if (fixed[k]) continue;
        const slope = gradient[k]! + (slopes ? loss * slopes[k]! : 0);
        velocity[k] = momentum * velocity[k]! + slope;
        values[k]! -= learningRate * (slope + momentum * velocity[k]!);
        if (Number.isNaN(values[k]!)) {
          throw new InvalidInputError(
            `Gate ${k} of '${id}' became NaN: training diverged, a lower learning rate may help.`,
          );
        }
      }
    }
    this.#write();
  }

  /**
   * Switches gates, for good, until the cost is the limit, or part of the way there.
   * @param share - of the way from the cost to the limit, in factors; 1 is all of it.
   * @param lossOf - the loss with the gates of the network as they are.
   */
  project(share: number, lossOf: () => number): SwitchedGate[] {
    if (!this.#budget) return [];
    const budget = this.#budget;
    const cost = costOfGates(budget, this.values);
    if (cost <= budget.limit) return [];
    const target = share === 1 ? budget.limit : cost * (budget.limit / cost) ** share;
    const switched = projectGates(budget, this.values, target, () => {
      this.#write();
      return lossOf();
    });
    for (const { layer, gate } of switched) {
      this.#fixed.get(layer)![gate] = 1;
      this.#velocities.get(layer)![gate] = 0;
    }
    this.#write();
    return switched;
  }

  /** From now on the gates stay as they are. */
  freeze(): void {
    for (const fixed of this.#fixed.values()) fixed.fill(1);
  }

  /** Cost in the budget's unit; ζ without a budget. */
  get cost(): number {
    return this.#budget ? costOfGates(this.#budget, this.values) : this.zeta;
  }

  get isWithinBudget(): boolean {
    return !this.#budget || costOfGates(this.#budget, this.values) <= this.#budget.limit;
  }

  /** Gates as plain arrays, by node id. */
  snapshot(): Record<string, number[]> {
    return Object.fromEntries(this.layers.map(({ id }) => [id, [...this.values.get(id)!]]));
  }

  /** Takes over gates and their state from another process. */
  adopt(values: Readonly<Record<string, readonly number[]>>, state: GateTrainerState): void {
    for (const { id } of this.layers) this.values.get(id)!.set(values[id]!);
    this.#write();
    this.restore(state);
  }

  state(): GateTrainerState {
    const plain = (map: ReadonlyMap<string, Iterable<number>>) =>
      Object.fromEntries([...map].map(([id, values]) => [id, [...values]]));
    return { velocities: plain(this.#velocities), fixed: plain(this.#fixed) };
  }

  /**
   * Continues from {@link GateTrainer.state} with the gates that the network has.
   * @throws {InvalidInputError} if the state is of another network.
   */
  restore({ velocities, fixed }: GateTrainerState): void {
    for (const { id, factors } of this.layers) {
      if (velocities[id]?.length !== factors.length || fixed[id]?.length !== factors.length) {
        throw new InvalidInputError(
          `The state of the ${factors.length} gates of '${id}' is missing or of another network.`,
        );
      }
      this.values.set(id, Float32Array.from(this.#variable(id).dataSync()));
      this.#velocities.get(id)!.set(velocities[id]);
      this.#fixed.get(id)!.set(fixed[id]);
    }
  }

  #variable(id: string): tfc.Variable {
    return this.#network.parameter(id, 'gates').variable;
  }

  #write(): void {
    tf.tidy(() => {
      for (const { id } of this.layers) this.#variable(id).assign(tf.tensor1d(this.values.get(id)!));
    });
  }
}
