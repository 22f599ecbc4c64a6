import { type Graph, InvalidInputError, type Model, RandomSource } from '@dgconv/core';
import type * as tfc from '@tensorflow/tfjs-core';
import type { Batch } from '../data/batches.js';
import { averageGradients } from '../distributed/average-gradients.js';
import { alone, type Communicator } from '../distributed/communicator.js';
import type { EvaluationMode } from '../evaluate/evaluate.js';
import { TrainableNetwork } from '../evaluate/trainable-network.js';
import * as tf from '../tf.js';
import { BatchNormStatistics } from './batch-norm-statistics.js';
import type { Budget } from './budget.js';
import { CondenseTrainer } from './condense-trainer.js';
import { type BatchScore, scoreLogits, softmaxCrossEntropy } from './cross-entropy.js';
import { GateTrainer } from './gate-trainer.js';
import { Optimiser } from './optimiser.js';
import type { Recipe } from './recipe.js';

/** A network with everything that one step of its training changes. */
export class Learner {
  readonly network: TrainableNetwork;
  readonly optimiser: Optimiser;
  readonly gates: GateTrainer;
  /** Decides what dropout drops; the same in all processes. */
  random: RandomSource;
  readonly #model: Model;
  readonly #recipe: Recipe;
  readonly #communicator: Communicator;
  readonly #condense: CondenseTrainer;
  readonly #statistics: BatchNormStatistics;

  constructor(model: Model, budget: Budget | null, recipe: Recipe, seed: number, communicator: Communicator = alone) {
    this.#model = model;
    this.#recipe = recipe;
    this.#communicator = communicator;
    this.network = new TrainableNetwork({ ...model, graph: untilLogits(model.graph) });
    this.optimiser = new Optimiser(this.network, recipe);
    this.gates = new GateTrainer(this.network, budget);
    this.#condense = new CondenseTrainer(this.network);
    this.#statistics = new BatchNormStatistics(this.network, communicator);
    this.random = new RandomSource(seed);
  }

  /** Drops the connections that CondenseNet's schedule wants dropped. @param progress - share of the training done, in [0, 1). */
  condense(progress: number): void {
    this.#condense.advance(progress);
  }

  /**
   * One step of SGD with the mean gradient of all processes, each on a batch of its own of the same size.
   * @returns the mean loss, and how many images of all were right.
   * @throws {InvalidInputError} if the loss is not finite or a gate becomes NaN, on all processes alike.
   */
  step({ images, labels }: Batch, learningRate: number): BatchScore {
    let score: BatchScore = { loss: NaN, correct: 0 };
    const isFrozen = this.gates.isFrozen;
    const mode: EvaluationMode = {
      kind: 'training',
      gates: isFrozen ? 'frozen' : 'learn',
      random: this.#uniform(),
      onBatchStatistics: (node, statistics) => this.#statistics.add(node, statistics),
    };
    const trained = this.optimiser.parameters.map(({ variable }) => variable);
    const variables = isFrozen ? trained : [...trained, ...this.gates.variables];
    tf.tidy(() => {
      const { grads: own } = tf.variableGrads(() => {
        const loss = softmaxCrossEntropy(this.#logits(images, mode), labels, (value) => (score = value));
        const factor = this.gates.lossFactor;
        const scaled = factor === 1 ? loss : tf.mul<tfc.Scalar>(loss, factor);
        const lasso = this.#condense.lasso(this.#recipe.groupLasso);
        return lasso ? tf.add<tfc.Scalar>(scaled, lasso) : scaled;
      }, variables);
      score = this.#ofAll(score);
      if (!Number.isFinite(score.loss)) {
        throw new InvalidInputError(
          `The loss became ${score.loss}: training diverged, a lower learning rate may help.`,
        );
      }
      const grads = averageGradients(own, this.#communicator);
      this.optimiser.step(grads, learningRate);
      if (!isFrozen) this.gates.step(grads, score.loss, learningRate, this.#recipe.momentum);
    });
    this.#statistics.apply();
    return score;
  }

  /** Score of a batch; `batch`: batch norm uses the batch's own statistics, as in training. */
  score({ images, labels }: Batch, statistics: 'running' | 'batch'): BatchScore {
    const mode: EvaluationMode =
      statistics === 'running'
        ? { kind: 'inference' }
        : { kind: 'training', gates: 'frozen', random: () => 1, onBatchStatistics: () => {} };
    let score: BatchScore = { loss: NaN, correct: 0 };
    tf.tidy(() => {
      score = scoreLogits(this.#logits(images, mode), labels);
    });
    return score;
  }

  /** The network as it is now, whole. */
  toModel(): Model {
    const { graph, weights } = this.network.toModel();
    return { graph: { ...graph, outputs: this.#model.graph.outputs }, weights };
  }

  dispose(): void {
    this.optimiser.dispose();
    this.network.dispose();
  }

  /** Random numbers for one step, other ones in each process; {@link Learner.random} goes on alike in all. */
  #uniform(): () => number {
    const { rank } = this.#communicator;
    if (rank === 0) return () => this.random.uniform();
    const own = new RandomSource(this.random.state[0] + rank * 2 ** 32);
    return () => {
      this.random.uniform();
      return own.uniform();
    };
  }

  #ofAll({ loss, correct }: BatchScore): BatchScore {
    const sums = Float64Array.of(loss, correct);
    this.#communicator.sum(sums);
    return { loss: sums[0]! / this.#communicator.size, correct: sums[1]! };
  }

  #logits(images: tfc.Tensor4D, mode: EvaluationMode): tfc.Tensor2D {
    const { inputs, outputs } = this.network.graph;
    return this.network.evaluate({ [inputs[0]!.name]: images }, mode)[outputs[0]!.name] as tfc.Tensor2D;
  }
}

/** The graph with its first output taken before the softmax, if it ends with one: the loss has its own. */
function untilLogits(graph: Graph): Graph {
  const [output] = graph.outputs;
  const last = graph.nodes.find(({ id }) => id === output?.value);
  if (!output || last?.op !== 'softmax') return graph;
  return { ...graph, outputs: [{ ...output, value: last.inputs[0]! }] };
}
