import { type Model, RandomSource, UnsupportedError } from '@dgconv/core';
import { type BackendName, useBackend } from '../backends.js';
import * as tf from '../tf.js';
import { Learner } from './learner.js';
import { defaultRecipe } from './recipe.js';

/** Steps that are timed, after one that is not. */
const timedSteps = 2;

/** Engines that are worth comparing; the others serve where neither is. */
const fast: readonly BackendName[] = ['dgconv', 'tensorflow'];
const fallbacks: readonly BackendName[] = ['wasm', 'cpu'];

/**
 * The engine on which a step of this network's training is fastest, found by a short measurement where several are fast.
 * @throws {UnsupportedError} if none works here.
 */
export async function chooseBackend(model: Model, batchSize: number): Promise<BackendName> {
  const available: BackendName[] = [];
  for (const name of fast) if (await works(name)) available.push(name);
  if (available.length > 1) {
    const times: { name: BackendName; milliseconds: number }[] = [];
    for (const name of available) {
      await useBackend(name);
      times.push({ name, milliseconds: timeStep(model, batchSize) });
    }
    return times.reduce((best, time) => (time.milliseconds < best.milliseconds ? time : best)).name;
  }
  for (const name of [...available, ...fallbacks]) if (await works(name)) return name;
  throw new UnsupportedError('No backend works on this machine.');
}

async function works(name: BackendName): Promise<boolean> {
  try {
    await useBackend(name);
    return true;
  } catch (error) {
    if (error instanceof UnsupportedError) return false;
    throw error;
  }
}

/** Milliseconds of one training step on random images. */
function timeStep(model: Model, batchSize: number): number {
  const learner = new Learner(model, null, defaultRecipe(batchSize), 0);
  const random = new RandomSource(0);
  const shape = model.graph.inputs[0]!.shape.with(0, batchSize);
  const values = Float32Array.from({ length: shape.reduce((size, length) => size * length, 1) }, () => random.normal());
  const images = tf.tensor4d(values, shape as [number, number, number, number]);
  const batch = { images, labels: new Uint16Array(batchSize) };
  learner.step(batch, 0);
  const start = performance.now();
  for (let step = 0; step < timedSteps; step++) learner.step(batch, 0);
  const milliseconds = (performance.now() - start) / timedSteps;
  images.dispose();
  learner.dispose();
  return milliseconds;
}
