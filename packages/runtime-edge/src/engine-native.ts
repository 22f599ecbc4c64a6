import { type Engine, engineError, type EngineErrorCode, type EngineTensor } from './engine.js';
import { nodeProcess } from './node-process.js';
import { placementBytes, skipToPlace } from './placement.js';

type Handle = object;

interface Addon {
  load(source: string | Uint8Array, options: object): Handle;
  describe(handle: Handle): { inputs: EngineTensor[]; outputs: EngineTensor[]; plan: string };
  run(handle: Handle, batch: number, inputs: readonly Float32Array[], outputs: readonly Float32Array[]): void;
  runAsync(
    handle: Handle,
    batch: number,
    inputs: readonly Float32Array[],
    outputs: readonly Float32Array[],
  ): Promise<void>;
  dispose(handle: Handle): void;
  profile(handle: Handle, isOn: number): void;
  stepTimes(handle: Handle): number[];
  pageOffset(bytes: ArrayBuffer): number;
  isas(): string;
  peak(isa: string): number;
}

let cached: Addon | null | undefined;

/** The addon built on this machine, else the one of the platform's optional package, else (in a browser: always) null. */
function findAddon(): Addon | null {
  if (nodeProcess === null) return null;
  const require = nodeProcess.getBuiltinModule('node:module').createRequire(import.meta.url);
  const built = new URL('../native/dgconv_edge.node', import.meta.url);
  if (nodeProcess.getBuiltinModule('node:fs').existsSync(built))
    return require(nodeProcess.getBuiltinModule('node:url').fileURLToPath(built)) as Addon;
  try {
    return require(`@dgconv/runtime-edge-${nodeProcess.platform}-${nodeProcess.arch}`) as Addon;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return null;
    throw error;
  }
}

const addon = (): Addon | null => (cached === undefined ? (cached = findAddon()) : cached);

/** Instruction sets that the native engine can use here, best first; empty without it. */
export function nativeInstructionSets(): string[] {
  return addon()?.isas().split(', ') ?? [];
}

/**
 * Peak of one core in GFLOP/s: a loop of multiply-adds in registers with an instruction set's widest vectors, about 20 ms.
 * Null without the native engine.
 * @param isa - empty: that of the environment variable DGCONV_ISA, else the best there is.
 */
export function measurePeakGflops(isa = ''): number | null {
  return addon()?.peak(isa) || null;
}

/** Where in memory the bytes begin, modulo the size of a page, by the native engine, which must be there. */
export const pageOffset = (bytes: ArrayBuffer): number => addon()!.pageOffset(bytes);

/** The engine in the Node addon, or null where there is none. */
export function nativeEngine(): Engine | null {
  const native = addon();
  if (native === null) return null;
  return {
    kind: 'native',
    load(source, options, where) {
      const translate = (error: unknown): never => {
        const { code, message } = error as { code: EngineErrorCode; message: string };
        throw engineError(code, message, where);
      };
      const translated = <T>(call: () => T): T => {
        try {
          return call();
        } catch (error) {
          return translate(error);
        }
      };
      const handle = translated(() => native.load(source, options));
      const description = native.describe(handle);
      const array = ({ shape }: EngineTensor, index: number): Float32Array => {
        const length = shape.reduce((product, size) => product * size, options.maxBatch);
        const block = new ArrayBuffer(4 * length + placementBytes);
        return new Float32Array(block, skipToPlace(pageOffset(block), index), length);
      };
      const makeBuffers = () => ({
        inputs: description.inputs.map(array),
        outputs: description.outputs.map((tensor, index) => array(tensor, description.inputs.length + index)),
      });
      let buffers: ReturnType<typeof makeBuffers> | undefined;
      return {
        ...description,
        buffers: () => (buffers ??= makeBuffers()),
        run: (batch, inputs, outputs) => translated(() => native.run(handle, batch, inputs, outputs)),
        runAsync: async (batch, inputs, outputs) =>
          translated(() => native.runAsync(handle, batch, inputs, outputs)).catch(translate),
        profile: (isOn) => native.profile(handle, Number(isOn)),
        stepTimes: () => native.stepTimes(handle),
        dispose: () => native.dispose(handle),
      };
    },
  };
}
