import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  bind,
  type ByteSource,
  type Graph,
  graphFromArchConfig,
  inferShapes,
  InvalidInputError,
  type Model,
  readModel,
  readSafetensors,
  storedNames,
  UnsupportedError,
  verifyGraph,
  type WeightSource,
  zooGraph,
} from '@dgconv/core';
import { openByteSource } from '@dgconv/core/node';
import { withoutPrefix } from './checkpoint-names.js';
import { importLayersModel, layersModelShards } from './layers-model.js';
import { type FoundMask, masksFromZeros } from './masks-from-zeros.js';
import { importDecodedOnnx } from './onnx.js';
import { externalDataBeside, externalFilesOf } from './onnx-external.js';
import { decodeOnnx } from './onnx-file.js';
import { modelFileOf } from './run-directory.js';
import { isSafetensorsPath, openSafetensorsCheckpoint, safetensorsShards } from './safetensors-checkpoint.js';
import { importTflite } from './tflite.js';
import { openTorchCheckpoint } from './torch.js';

/** What people name PyTorch's checkpoints; the contents say whether a file is one. */
const torchSuffix = /\.(?:pth|pt|ckpt|bin|th|pkl|tar)$/;

/** What a caller knows beyond the file. */
export interface ImportOptions {
  /** The network of a checkpoint: a name of the zoo, or the contents of an architecture file. */
  readonly architecture?: { readonly name: string } | { readonly config: unknown };
  /** `[C, H, W]`, where the file leaves it open or another size is wanted. */
  readonly inputShape?: readonly [number, number, number];
  /** Weights up to this magnitude count as zero where zeros are taken for a mask (default 0). */
  readonly maskThreshold?: number;
}

/** A model with what was found out while it was imported. */
export interface ImportedModel {
  readonly model: Model;
  /** Zeros that were taken for masks. */
  readonly masks: readonly FoundMask[];
}

/**
 * Reads a model: a run directory, a LayersModel, an ONNX or TFLite file, a PyTorch or `.safetensors` checkpoint (which need an architecture), or a
 * `.safetensors` file that carries its graph.
 * @throws {InvalidInputError} if the file is missing, broken or does not fit the architecture.
 */
export function importModel(path: string, options: ImportOptions = {}): ImportedModel {
  if (!existsSync(path)) throw new InvalidInputError(`there is no file or directory ${path}`);
  const file = statSync(path).isDirectory() ? fileWithin(path) : path;
  const source = openByteSource(file);
  const { model: read, shards } = readAny(file, source, options);
  const model = withInputShape(read, options.inputShape);
  verifyImported(file, model.graph);
  const metadata = { ...model.graph.metadata, sourceHash: sha256([source, ...shards]) };
  return withMasks({ graph: { ...model.graph, metadata }, weights: model.weights }, options);
}

function verifyImported(file: string, graph: Graph): void {
  try {
    verifyGraph(graph);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new InvalidInputError(`${file}: ${error.message}`, { cause: error });
  }
}

/** Zeros are a mask where a checkpoint brings them; what carries connectivity of its own has said what is connected. */
function withMasks(model: Model, { maskThreshold = 0 }: ImportOptions): ImportedModel {
  if (!(maskThreshold >= 0 && Number.isFinite(maskThreshold))) {
    throw new InvalidInputError(`the mask threshold is ${maskThreshold}: it is a number that is not negative`);
  }
  const { model: masked, found } = masksFromZeros(model, maskThreshold);
  return { model: masked, masks: found };
}

function fileWithin(directory: string): string {
  const layersModel = join(directory, 'model.json');
  return existsSync(layersModel) ? layersModel : modelFileOf(directory);
}

/** A model with the files beside its own that hold its weights. */
interface Read {
  readonly model: Model;
  readonly shards: readonly ByteSource[];
}

function readAny(file: string, source: ByteSource, options: ImportOptions): Read {
  const whole = (model: Model): Read => ({ model, shards: [] });
  if (torchSuffix.test(file)) return whole(bindCheckpoint(file, openTorchCheckpoint(source), options));
  if (isSafetensorsPath(file)) {
    const isIndex = !file.endsWith('.safetensors');
    const carriesGraph = !isIndex && options.architecture === undefined;
    if (carriesGraph && 'dgconv.graph' in readSafetensors(source).metadata) return whole(readModel(source));
    const model = bindCheckpoint(file, openSafetensorsCheckpoint(file), options);
    return { model, shards: isIndex ? safetensorsShards(file) : [] };
  }
  if (file.endsWith('.json')) {
    return { model: importLayersModel(source, sizeOf(options)), shards: layersModelShards(source) };
  }
  if (file.endsWith('.onnx')) return naming(file, () => readOnnx(file, source, options));
  if (file.endsWith('.tflite')) {
    return whole(naming(file, () => importTflite(wholeFile(source), sizeOf(options))));
  }
  throw new InvalidInputError(
    `${file} is of no known kind: run directories, model.json, .onnx, .tflite, .pth, .pt, .ckpt, .pth.tar, .safetensors and .safetensors.index.json are`,
  );
}

function sizeOf({ inputShape }: ImportOptions): { inputShape?: readonly [number, number, number] } {
  return inputShape === undefined ? {} : { inputShape };
}

function readOnnx(file: string, source: ByteSource, options: ImportOptions): Read {
  const decoded = decodeOnnx(wholeFile(source));
  const model = importDecodedOnnx(decoded, { readExternal: externalDataBeside(file), ...sizeOf(options) });
  return { model, shards: externalFilesOf(file, decoded) };
}

/** Formats that are read whole, whose offsets or lengths have 31 bits. */
const largestWholeFile = 2 ** 31 - 1;

/** All bytes of a file; one that begins with zeros only is neither a protobuf message nor a flatbuffer, however long it is. */
function wholeFile(source: ByteSource): Uint8Array {
  if (source.size > largestWholeFile)
    throw new InvalidInputError(`the file has ${source.size} bytes: at most 2^31 - 1 are supported`);
  if (source.read(0, Math.min(source.size, 8)).every((byte) => byte === 0))
    throw new InvalidInputError('the file is empty, or begins with zeros, which no such file does');
  return source.read(0, source.size);
}

/** Puts the file's name before what is wrong with it. */
function naming<Result>(file: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnsupportedError) throw new UnsupportedError(`${file}: ${error.message}`, { cause: error });
    if (error instanceof InvalidInputError) throw new InvalidInputError(`${file}: ${error.message}`, { cause: error });
    throw error;
  }
}

function bindCheckpoint(file: string, checkpoint: WeightSource, options: ImportOptions): Model {
  const { architecture, inputShape } = options;
  if (architecture === undefined) {
    throw new InvalidInputError(
      `${file} holds weights only: --arch NAME or --arch-config FILE.json has to say which network they belong to`,
    );
  }
  const sizes =
    inputShape === undefined
      ? {}
      : { inputSize: [inputShape[1], inputShape[2]] as const, inputChannels: inputShape[0] };
  const zooOptions = { ...sizes, checkpoint };
  const graph =
    'name' in architecture
      ? zooGraph(architecture.name, zooOptions)
      : graphFromArchConfig(architecture.config, zooOptions);
  try {
    return bind(graph, withoutPrefix(checkpoint, storedNames(graph)));
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new InvalidInputError(`${file} does not fit ${graph.metadata.name}: ${error.message}`, { cause: error });
  }
}

/** The network for images of another size, where its ops allow that. */
function withInputShape(model: Model, inputShape: ImportOptions['inputShape']): Model {
  if (inputShape === undefined) return model;
  const [channels, height, width] = inputShape;
  const [input, ...others] = model.graph.inputs;
  const [, currentHeight, currentWidth, currentChannels] = input?.shape ?? [];
  if (input === undefined || others.length > 0 || input.shape.length !== 4) {
    throw new InvalidInputError(
      `${model.graph.metadata.name} has ${model.graph.inputs.length} inputs of rank ${input?.shape.length ?? 0}; --input-shape needs one image`,
    );
  }
  if (channels !== currentChannels) {
    throw new InvalidInputError(`the network takes ${currentChannels} input channels; --input-shape says ${channels}`);
  }
  if (height === currentHeight && width === currentWidth) return model;
  const graph: Graph = { ...model.graph, inputs: [{ name: input.name, shape: [1, height, width, channels] }] };
  inferShapes(graph);
  return { graph, weights: model.weights };
}

/** SHA-256 of a file, or of several one after the other, in hexadecimal. */
function sha256(sources: readonly ByteSource[]): string {
  const hash = createHash('sha256');
  const pieceSize = 2 ** 22;
  for (const source of sources) {
    for (let offset = 0; offset < source.size; offset += pieceSize) {
      hash.update(source.read(offset, Math.min(pieceSize, source.size - offset)));
    }
  }
  return hash.digest('hex');
}
