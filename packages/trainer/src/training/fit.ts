import {
  InvalidInputError,
  type Model,
  type Preprocessing,
  RandomSource,
  type RandomState,
  readModel,
  writeModel,
} from '@dgconv/core';
import { type Batch, Batches, splitForValidation, type ValidationSplit } from '../data/batches.js';
import { type DataSet, firstImages, type LabelledImages } from '../data/data-set.js';
import { broadcastJson, type Communicator, waitForAll } from '../distributed/communicator.js';
import type { Budget, BudgetKind } from './budget.js';
import { loadWeights, restoreCheckpoint, sharedFile, writeCheckpoint } from './checkpoint.js';
import { EventLog } from './event-log.js';
import { Learner } from './learner.js';
import type { Recipe } from './recipe.js';
import type { EpochMetrics, RunDirectory } from './run-directory.js';
import { learningRateAt, type ProjectionRound, projectionRounds } from './schedules.js';

/** What {@link fit} works with. */
export interface FitOptions {
  readonly model: Model;
  readonly data: DataSet;
  readonly preprocessing: Preprocessing;
  readonly budget: Budget | null;
  readonly recipe: Recipe;
  readonly epochs: number;
  readonly batchSize: number;
  /** Only the first so many training images, and test images; null: all. */
  readonly limit: number | null;
  readonly seed: number;
  readonly directory: RunDirectory;
  /** Goes on from the directory's checkpoint. */
  readonly resume: boolean;
  readonly onProgress: (progress: Progress) => void;
  /** When it fires, training stops after the step, with a checkpoint. */
  readonly signal: AbortSignal | null;
  /** The processes that train together; the batch is shared among them. */
  readonly communicator: Communicator;
}

/** Told after every step. */
export interface Progress {
  readonly phase: 'training' | 'testing';
  /** Steps done, of `steps`. */
  readonly step: number;
  readonly steps: number;
  readonly epoch: number;
  readonly epochs: number;
  /** Mean over the epoch so far. */
  readonly loss: number;
  readonly accuracy: number;
  /** Of the last epoch that ended, if any. */
  readonly validationAccuracy: number | null;
  readonly zeta: number;
  /** What the gates cost, and may cost, in the unit of the budget; null without one. */
  readonly budget: { readonly kind: BudgetKind; readonly cost: number; readonly limit: number } | null;
}

/** What a training came to; all but `secondsPerStep` is of the saved model. */
export interface FitResult {
  readonly validationAccuracy: number;
  readonly testAccuracy: number;
  readonly zeta: number;
  /** In the unit of the budget; null without one. */
  readonly cost: number | null;
  readonly budget: number | null;
  readonly budgetMet: boolean | null;
  readonly secondsPerStep: number;
}

/** Images evaluated at once where nothing is learned. */
const evaluationBatch = 250;
/** Images on which a gate's importance is measured. */
const projectionImages = 256;
/** Lines of `gates.jsonl` over a whole training, about. */
const gateRecords = 200;
/** Streams of random numbers that must not depend on each other start this far apart. */
const seedDistance = 2 ** 33;

/** Sums over the steps of an epoch, and the random numbers as they were before its order was drawn. */
interface EpochState {
  orderState: RandomState;
  lossSum: number;
  correct: number;
}

/**
 * Trains a model by the recipe and leaves everything in the run directory.
 * @throws {InvalidInputError} if the loss or a gate becomes NaN, the checkpoint does not fit, or training is stopped.
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  const run = new Run(options);
  try {
    return await run.run();
  } finally {
    run.dispose();
  }
}

class Run {
  readonly #options: FitOptions;
  readonly #learner: Learner;
  readonly #batches: Batches;
  readonly #testBatches: Batches;
  readonly #test: LabelledImages;
  readonly #split: ValidationSplit;
  readonly #batchSize: number;
  /** Images of a step that this process learns from. */
  readonly #ownSize: number;
  readonly #stepsPerEpoch: number;
  readonly #steps: number;
  readonly #rounds: readonly ProjectionRound[];
  #order: RandomSource;
  #step = 0;
  #roundsDone = 0;
  #best: { epoch: number; validationAccuracy: number } | null = null;
  #lastValidation: number | null = null;

  constructor(options: FitOptions) {
    this.#options = options;
    const { model, data, preprocessing, budget, recipe, epochs, limit, seed, communicator } = options;
    const images = firstImages(data.train, limit ?? data.train.count);
    this.#test = firstImages(data.test, limit ?? data.test.count);
    if (images.count < 2)
      throw new InvalidInputError(`Training needs at least 2 images, and there are ${images.count}.`);
    this.#split = splitForValidation(images.count, new RandomSource(seed));
    this.#order = new RandomSource(seed + seedDistance);
    this.#learner = new Learner(model, budget, recipe, seed + 2 * seedDistance, communicator);
    this.#batches = new Batches(data, images, preprocessing);
    this.#testBatches = new Batches(data, this.#test, preprocessing);
    this.#ownSize = Math.floor(Math.min(options.batchSize, this.#split.train.length) / communicator.size);
    this.#batchSize = this.#ownSize * communicator.size;
    if (this.#batchSize === 0) {
      throw new InvalidInputError(
        `${communicator.size} processes need an image each to learn from, and there are ${this.#split.train.length}.`,
      );
    }
    this.#stepsPerEpoch = Math.floor(this.#split.train.length / this.#batchSize);
    this.#steps = this.#stepsPerEpoch * epochs;
    const [from, to] = recipe.projection;
    this.#rounds = projectionRounds(from * this.#steps, to * this.#steps, recipe.projectionRounds);
  }

  async run(): Promise<FitResult> {
    const { directory, onProgress, epochs } = this.#options;
    const state: EpochState = this.#options.resume
      ? this.#restore()
      : { orderState: this.#order.state, lossSum: 0, correct: 0 };
    directory.restartLog('metrics.jsonl', this.#step);
    directory.restartLog('gates.jsonl', this.#step);
    const events = directory.isWriter ? new EventLog(directory.path) : null;
    if (this.#step === 0) this.#recordGates();
    const stepSeconds: number[] = [];
    for (let epoch = Math.floor(this.#step / this.#stepsPerEpoch) + 1; epoch <= epochs; epoch++) {
      const started = performance.now();
      await this.#runEpoch(epoch, state, stepSeconds, events);
      const metrics = this.#endEpoch(epoch, state, (performance.now() - started) / 1000);
      events?.write(this.#step, {
        train_accuracy: metrics.trainAccuracy,
        validation_accuracy: metrics.validationAccuracy,
      });
      Object.assign(state, { orderState: this.#order.state, lossSum: 0, correct: 0 });
      if (epoch < epochs) {
        directory.append('metrics.jsonl', metrics);
        this.#checkpoint(state);
      } else {
        onProgress(this.#progress('testing', epoch, metrics.loss, metrics.trainAccuracy));
        const result = this.#finish(metrics, median(stepSeconds), events);
        this.#checkpoint(state);
        return result;
      }
    }
    throw new InvalidInputError(`${directory.path}: the training is complete, there is nothing to resume.`);
  }

  dispose(): void {
    this.#learner.dispose();
  }

  async #runEpoch(epoch: number, state: EpochState, stepSeconds: number[], events: EventLog | null): Promise<void> {
    const { onProgress, directory, communicator } = this.#options;
    const { gates } = this.#learner;
    const order = this.#split.train.slice();
    this.#order.shuffle(order);
    const recordEvery = Math.max(Math.floor(this.#steps / gateRecords), 1);
    for (let at = this.#step % this.#stepsPerEpoch; at < this.#stepsPerEpoch; at++) {
      this.#projectIfDue();
      this.#learner.condense(this.#step / this.#steps);
      const start = performance.now();
      const first = at * this.#batchSize + communicator.rank * this.#ownSize;
      const batch = this.#batches.cut(order.subarray(first, first + this.#ownSize));
      const { loss, correct } = this.#scoped(batch, () => this.#learner.step(batch, this.#learningRate()));
      stepSeconds.push((performance.now() - start) / 1000);
      this.#step++;
      state.lossSum += loss;
      state.correct += correct;
      if (this.#step % recordEvery === 0 || this.#step === this.#steps) {
        this.#recordGates();
        events?.write(this.#step, { loss, zeta: gates.zeta, learning_rate: this.#learningRate() });
      }
      const images = (at + 1) * this.#batchSize;
      onProgress(this.#progress('training', epoch, state.lossSum / (at + 1), state.correct / images));
      // Lets timers, progress bars and signals have their turn.
      await new Promise(setImmediate);
      if (this.#isStopped() && at + 1 < this.#stepsPerEpoch) {
        this.#checkpoint(state);
        waitForAll(communicator);
        throw new InvalidInputError(
          `Training was stopped after step ${this.#step} of ${this.#steps}; it can be resumed from ${directory.path}.`,
        );
      }
    }
  }

  /** Whether any process was told to stop. */
  #isStopped(): boolean {
    const { signal, communicator } = this.#options;
    const stopped = Float64Array.of(signal?.aborted ? 1 : 0);
    communicator.sum(stopped);
    return stopped[0]! > 0;
  }

  #learningRate(): number {
    const { learningRate, warmup } = this.#options.recipe;
    return learningRateAt(this.#step, this.#steps, learningRate, Math.ceil(warmup * this.#steps));
  }

  /** The rounds of the gates' projection that the schedule wants by now. */
  #projectIfDue(): void {
    const { gates } = this.#learner;
    const { communicator } = this.#options;
    for (let round; (round = this.#rounds[this.#roundsDone]) && round.step <= this.#step; this.#roundsDone++) {
      const switched = communicator.rank === 0 ? this.#project(round.share) : 0;
      const decided = broadcastJson(communicator, { values: gates.snapshot(), state: gates.state() });
      if (communicator.rank > 0) gates.adopt(decided.values, decided.state);
      if (round.share === 1) gates.freeze();
      if (switched > 0) this.#recordGates();
    }
  }

  /** @returns how many gates were switched. */
  #project(share: number): number {
    const batch = this.#batches.cut(this.#split.validation.subarray(0, projectionImages));
    // With the batch's own statistics: a gate changes what batch norm sees.
    const lossOf = () => this.#learner.score(batch, 'batch').loss;
    return this.#scoped(batch, () => this.#learner.gates.project(share, lossOf)).length;
  }

  #accuracy(batches: Batches, indices: Uint32Array): number {
    const { communicator } = this.#options;
    const right = new Float64Array(1);
    for (let part = communicator.rank; part * evaluationBatch < indices.length; part += communicator.size) {
      const batch = batches.cut(indices.subarray(part * evaluationBatch, (part + 1) * evaluationBatch));
      right[0]! += this.#scoped(batch, () => this.#learner.score(batch, 'running').correct);
    }
    communicator.sum(right);
    return right[0]! / indices.length;
  }

  #scoped<Result>({ images }: Batch, use: () => Result): Result {
    try {
      return use();
    } finally {
      images.dispose();
    }
  }

  /** Validates, and keeps the weights if they are the best so far within the budget. */
  #endEpoch(epoch: number, { lossSum, correct }: EpochState, seconds: number): EpochMetrics {
    const { directory, budget } = this.#options;
    const { gates } = this.#learner;
    const validationAccuracy = this.#accuracy(this.#batches, this.#split.validation);
    this.#lastValidation = validationAccuracy;
    if (gates.isWithinBudget && validationAccuracy >= (this.#best?.validationAccuracy ?? 0)) {
      this.#best = { epoch, validationAccuracy };
      directory.write(['checkpoints', 'best.safetensors'], () => writeModel(this.#learner.toModel()));
    }
    return {
      epoch,
      step: this.#step,
      loss: lossSum / this.#stepsPerEpoch,
      trainAccuracy: correct / (this.#batchSize * this.#stepsPerEpoch),
      validationAccuracy,
      zeta: gates.zeta,
      cost: budget ? gates.cost : null,
      budget: budget?.limit ?? null,
      budgetMet: budget ? gates.isWithinBudget : null,
      learningRate: this.#learningRate(),
      seconds,
    };
  }
  /** Saves the best weights as the run's model and measures them, once, on the test images. */
  #finish(metrics: EpochMetrics, secondsPerStep: number, events: EventLog | null): FitResult {
    const { directory, budget, communicator } = this.#options;
    const { gates } = this.#learner;
    if (this.#best) {
      const best = directory.file('checkpoints', 'best.safetensors');
      loadWeights(this.#learner.network, readModel(sharedFile(best, communicator)).weights, best);
      gates.restore(gates.state());
    }
    directory.write(['model.safetensors'], () => writeModel(this.#learner.toModel()));
    const everything = Uint32Array.from({ length: this.#test.count }, (_, index) => index);
    const saved = {
      testAccuracy: this.#accuracy(this.#testBatches, everything),
      zeta: gates.zeta,
      cost: budget ? gates.cost : null,
      budget: budget?.limit ?? null,
      budgetMet: budget ? gates.isWithinBudget : null,
    };
    directory.append('metrics.jsonl', { ...metrics, ...saved });
    events?.write(this.#step, { test_accuracy: saved.testAccuracy });
    return {
      ...saved,
      validationAccuracy: this.#best?.validationAccuracy ?? metrics.validationAccuracy,
      secondsPerStep,
    };
  }

  #recordGates(): void {
    const { gates } = this.#learner;
    if (gates.layers.length === 0) return;
    this.#options.directory.append('gates.jsonl', { step: this.#step, zeta: gates.zeta, gates: gates.snapshot() });
  }

  #progress(phase: Progress['phase'], epoch: number, loss: number, accuracy: number): Progress {
    const { budget } = this.#options;
    const { gates } = this.#learner;
    return {
      phase,
      step: this.#step,
      steps: this.#steps,
      epoch,
      epochs: this.#options.epochs,
      loss,
      accuracy,
      validationAccuracy: this.#lastValidation,
      zeta: gates.zeta,
      budget: budget && { kind: budget.option.kind, cost: gates.cost, limit: budget.limit },
    };
  }

  #checkpoint(state: EpochState): void {
    writeCheckpoint(this.#options.directory, this.#learner, {
      ...state,
      step: this.#step,
      dropoutState: this.#learner.random.state,
      roundsDone: this.#roundsDone,
      best: this.#best,
      gates: this.#learner.gates.state(),
    });
  }

  #restore(): EpochState {
    const { directory, communicator } = this.#options;
    const position = restoreCheckpoint(directory, this.#learner, communicator);
    if (position.step < 0 || position.step > this.#steps || position.roundsDone < 0) {
      throw new InvalidInputError(`The checkpoint stands at step ${position.step}, the training has ${this.#steps}.`);
    }
    this.#step = position.step;
    this.#roundsDone = position.roundsDone;
    this.#best = position.best;
    this.#order = new RandomSource(position.orderState);
    const { orderState, lossSum, correct } = position;
    return { orderState, lossSum, correct };
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
