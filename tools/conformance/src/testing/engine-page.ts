import { EdgeSession } from '@dgconv/runtime-edge';

/** What the page of the browser test offers: the engine, with bytes as base64, as they come through the debugger's door. */
export interface EnginePage {
  load(bytes: string): Promise<{ id: number; inputs: EdgeSession['inputs']; outputs: EdgeSession['outputs'] }>;
  run(id: number, feeds: Readonly<Record<string, string>>): Record<string, string>;
  dispose(id: number): void;
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const textOf = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  btoa(Array.from(new Uint8Array(buffer, byteOffset, byteLength), (byte) => String.fromCharCode(byte)).join(''));

const sessions = new Map<number, EdgeSession>();
const page: EnginePage = {
  async load(bytes) {
    const session = await EdgeSession.load(bytesOf(bytes));
    if (session.engine !== 'wasm') throw new Error(`the browser runs the engine '${session.engine}'`);
    const id = sessions.size;
    sessions.set(id, session);
    return { id, inputs: session.inputs, outputs: session.outputs };
  },
  run(id, feeds) {
    const results = sessions
      .get(id)!
      .run(
        Object.fromEntries(Object.entries(feeds).map(([name, text]) => [name, new Float32Array(bytesOf(text).buffer)])),
      );
    return Object.fromEntries(Object.entries(results).map(([name, values]) => [name, textOf(values)]));
  },
  dispose: (id) => sessions.get(id)!.dispose(),
};
Object.assign(globalThis, { engine: page });
