export { Random } from './random.js';
export { type ConnectivityChoice, connectivityChoices, randomConnectivity, randomMask } from './random-connectivity.js';
export { basicOps, type GeneratedOp, randomFeeds, randomModel, type RandomModelOptions } from './random-model.js';
export { type NodeFields, singleNodeModel } from './single-node.js';
