export { type NodeFields, singleNodeModel } from './single-node.js';
