import { EdgeSession } from '@dgconv/runtime-edge';

/** What the page of the browser test offers: the engine, with bytes as base64, as they come through the debugger's door. */
export interface EnginePage {
  load(bytes: string): Promise<{ id: number; inputs: EdgeSession['inputs']; outputs: EdgeSession['outputs'] }>;
  /** Every so often also in a worker, which has to give the same. */
  run(id: number, feeds: Readonly<Record<string, string>>): Promise<Record<string, string>>;
  dispose(id: number): void;
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const textOf = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  btoa(Array.from(new Uint8Array(buffer, byteOffset, byteLength), (byte) => String.fromCharCode(byte)).join(''));

const textsOf = (tensors: Readonly<Record<string, Float32Array>>): Record<string, string> =>
  Object.fromEntries(Object.entries(tensors).map(([name, values]) => [name, textOf(values)]));

const sessionsOfWorker = 30;
const sessions = new Map<number, EdgeSession>();
const page: EnginePage = {
  async load(bytes) {
    const session = await EdgeSession.load(bytesOf(bytes));
    if (session.engine !== 'wasm') throw new Error(`the browser runs the engine '${session.engine}'`);
    const id = sessions.size;
    sessions.set(id, session);
    return { id, inputs: session.inputs, outputs: session.outputs };
  },
  async run(id, texts) {
    const session = sessions.get(id)!;
    const feeds = Object.fromEntries(
      Object.entries(texts).map(([name, text]) => [name, new Float32Array(bytesOf(text).buffer)]),
    );
    const results = textsOf(session.run(feeds));
    if (id % sessionsOfWorker === 0) {
      const elsewhere = textsOf(await session.runAsync(feeds));
      if (JSON.stringify(elsewhere) !== JSON.stringify(results)) throw new Error('the worker gives other results');
    }
    return results;
  },
  dispose: (id) => sessions.get(id)!.dispose(),
};
Object.assign(globalThis, { engine: page });
