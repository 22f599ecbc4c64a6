import {
  type ByteSource,
  bytesInMemory,
  decode,
  InvalidInputError,
  RandomSource,
  type RandomState,
  readModel,
  type StoredTensor,
  type WeightSource,
  writeModel,
} from '@dgconv/core';
import { openByteSource } from '@dgconv/core/node';
import { broadcastBytes, type Communicator } from '../distributed/communicator.js';
import type { TrainableNetwork } from '../evaluate/trainable-network.js';
import * as tf from '../tf.js';
import type { GateTrainerState } from './gate-trainer.js';
import type { Learner } from './learner.js';
import type { RunDirectory } from './run-directory.js';

/** Where training is, beside the tensors. */
export interface TrainingPosition {
  /** Steps done since the start. */
  readonly step: number;
  /** Random numbers as they were before the current epoch's order was drawn. */
  readonly orderState: RandomState;
  readonly dropoutState: RandomState;
  /** Sums over the steps of the current epoch. */
  readonly lossSum: number;
  readonly correct: number;
  /** Rounds of the gates' projection that are done. */
  readonly roundsDone: number;
  readonly best: { readonly epoch: number; readonly validationAccuracy: number } | null;
  readonly gates: GateTrainerState;
}

const { array, integer, nullable, number, object, record } = decode;

const randomState: decode.Decoder<RandomState> = (value, place) => {
  const words = array(integer)(value, place);
  if (words.length !== 4) return place.refuse(`four words are needed, not ${words.length}`);
  return words as unknown as RandomState;
};

const trainingPosition: decode.Decoder<TrainingPosition> = object({
  step: integer,
  orderState: randomState,
  dropoutState: randomState,
  lossSum: number,
  correct: integer,
  roundsDone: integer,
  best: nullable(object({ epoch: integer, validationAccuracy: number })),
  gates: object({ velocities: record(array(number)), fixed: record(array(number)) }),
});

const positionKey = 'dgconv.training';
const velocityName = (name: string): string => `velocity/${name}`;

/** Writes everything that training needs to go on as if it had not stopped. */
export function writeCheckpoint(directory: RunDirectory, learner: Learner, position: TrainingPosition): void {
  directory.write(['checkpoints', 'latest.safetensors'], () => {
    const tensors = [...learner.optimiser.state()].map(([name, { shape, values }]: [string, StoredTensor]) => ({
      name: velocityName(name),
      shape,
      read: () => values,
    }));
    return writeModel(learner.toModel(), { tensors, metadata: { [positionKey]: JSON.stringify(position) } });
  });
}

/**
 * Continues from {@link writeCheckpoint}: weights, velocities and gates are those of the checkpoint.
 * @throws {InvalidInputError} if there is no checkpoint, it is broken, or it belongs to another network.
 */
export function restoreCheckpoint(
  directory: RunDirectory,
  learner: Learner,
  communicator: Communicator,
): TrainingPosition {
  const path = directory.file('checkpoints', 'latest.safetensors');
  const { weights, metadata } = readModel(sharedFile(path, communicator));
  const text = metadata[positionKey];
  if (text === undefined) {
    throw new InvalidInputError(`${path}: no checkpoint of a training (its metadata lack '${positionKey}')`);
  }
  loadWeights(learner.network, weights, path);
  learner.optimiser.restore((name) => weights.read(velocityName(name)));
  const position = decode.decodeJson(text, trainingPosition, path);
  learner.gates.restore(position.gates);
  learner.random = new RandomSource(position.dropoutState);
  return position;
}

/** A file that process 0 can read, for everybody. @throws {InvalidInputError} if it is missing or unreadable. */
export function sharedFile(path: string, communicator: Communicator): ByteSource {
  if (communicator.size === 1) return openByteSource(path);
  const read = (): Uint8Array => {
    const source = openByteSource(path);
    return source.read(0, source.size);
  };
  return bytesInMemory(broadcastBytes(communicator, read), path);
}

/** Puts stored tensors into the variables of the network with the same names. @throws {InvalidInputError} if one is missing. */
export function loadWeights(network: TrainableNetwork, weights: WeightSource, from: string): void {
  for (const { name, shape, variable, layout } of network.parameters) {
    if (weights.shape(name).join() !== shape.join()) {
      throw new InvalidInputError(
        `${from}: tensor '${name}' is [${weights.shape(name).join(', ')}], the network needs [${shape.join(', ')}]`,
      );
    }
    const values = tf.tensor(layout.pack(weights.read(name)), [...layout.shape]);
    variable.assign(values);
    values.dispose();
  }
}
