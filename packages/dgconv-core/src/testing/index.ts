export { Random } from './random.js';
export { type ConnectivityChoice, connectivityChoices, randomConnectivity, randomMask } from './random-connectivity.js';
export {
  basicOps,
  type GeneratedOp,
  type GeneratedPart,
  randomFeeds,
  randomModel,
  type RandomModelOptions,
  structuralParts,
} from './random-model.js';
export { type NodeFields, singleNodeModel } from './single-node.js';
