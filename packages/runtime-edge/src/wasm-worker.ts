// What runs in the worker of a network, in Node and in browsers. Nothing but types and `wasm-network.js` is imported: a
// browser's workers know no import maps.
import { WasmNetwork } from './wasm-network.js';
import type { WorkerAnswer, WorkerOrder } from './wasm-thread.js';

let network: WasmNetwork | null = null;

/** The answer to an order; failures carry no reason, since the caller's thread does the same again and has it. */
function carryOut(order: WorkerOrder): WorkerAnswer {
  try {
    if (order.kind === 'load') {
      network = new WasmNetwork(order.module, order.bytes, order.options);
      return { kind: 'loaded' };
    }
    const outputs = order.outputSizes.map((size) => new Float32Array(size));
    network!.run(order.batch, order.inputs, outputs);
    return { kind: 'outputs', id: order.id, outputs };
  } catch {
    return order.kind === 'load' ? { kind: 'refused' } : { kind: 'failed', id: order.id };
  }
}

const buffersOf = (answer: WorkerAnswer): ArrayBuffer[] =>
  answer.kind === 'outputs' ? answer.outputs.map(({ buffer }) => buffer) : [];

interface BrowserScope {
  onmessage: (event: { data: WorkerOrder }) => void;
  postMessage(answer: WorkerAnswer, transfer: ArrayBuffer[]): void;
}

if ('WorkerGlobalScope' in globalThis) {
  const scope = globalThis as unknown as BrowserScope;
  scope.onmessage = ({ data }) => {
    const answer = carryOut(data);
    scope.postMessage(answer, buffersOf(answer));
  };
} else {
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  parentPort!.on('message', (order: WorkerOrder) => {
    const answer = carryOut(order);
    parentPort!.postMessage(answer, buffersOf(answer));
  });
}
