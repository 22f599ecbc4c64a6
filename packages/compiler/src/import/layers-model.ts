import {
  bind,
  type ByteSource,
  type Graph,
  type GraphInput,
  InvalidInputError,
  type Model,
  type Shape,
  UnsupportedError,
} from '@dgconv/core';
import { LayersGraphBuilder } from './layers-model/builder.js';
import { isJsonObject, type JsonObject, LayerConfig } from './layers-model/fields.js';
import { layerRules } from './layers-model/layers.js';
import { manifestShards, openManifestWeights } from './layers-model/weights.js';

/** Bytes; a topology is far smaller. */
const largestModelJson = 2 ** 26;
const mostLayers = 20_000;

/** Sizes that stand in for those that the file leaves open. */
export interface LayersModelOptions {
  /** `[C, H, W]` */
  readonly inputShape?: readonly [number, number, number];
}

/**
 * Reads a LayersModel of TensorFlow.js: `model.json` and the weight shards beside it, as tf.layers or the Keras converter write
 * them (Keras 2), with the layers of vision models and those of `@dgconv/trainer`.
 * @throws {InvalidInputError} if a file is broken, or a size is open that nobody gives.
 * @throws {UnsupportedError} naming a layer of a class that is not known.
 */
export function importLayersModel(source: ByteSource, options: LayersModelOptions = {}): Model {
  const file = source.name;
  const json = parseJson(source);
  const topology = json['modelTopology'];
  if (!isJsonObject(topology)) {
    throw new InvalidInputError(
      `${file} is no LayersModel: it has no "modelTopology" (a GraphModel is another format)`,
    );
  }
  const model = isJsonObject(topology['model_config']) ? topology['model_config'] : topology;
  const weights = openManifestWeights(file, json['weightsManifest']);
  const builder = new LayersGraphBuilder(weights);
  const network = new Network(file, builder, options);
  try {
    const outputs = network.build(model, undefined);
    const graph: Graph = {
      formatVersion: '1.0',
      nodes: builder.nodes,
      inputs: network.inputs,
      outputs: network.named(outputs),
      metadata: { name: nameOf(model) ?? 'model' },
    };
    return bind(graph, weights);
  } catch (error) {
    if (error instanceof InvalidInputError && !error.message.startsWith(file)) {
      throw new InvalidInputError(`${file}: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

/**
 * The weight shards of a LayersModel, in the order of its manifest.
 * @throws {InvalidInputError} if the model is broken, or a shard missing or outside of its folder.
 */
export function layersModelShards(source: ByteSource): ByteSource[] {
  return manifestShards(source.name, parseJson(source)['weightsManifest']);
}

function parseJson(source: ByteSource): JsonObject {
  if (source.size > largestModelJson) {
    throw new InvalidInputError(
      `${source.name} has ${source.size} bytes: a model.json has at most ${largestModelJson}`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(source.read(0, source.size)));
  } catch (cause) {
    throw new InvalidInputError(`${source.name} is not JSON`, { cause });
  }
  if (!isJsonObject(json)) throw new InvalidInputError(`${source.name} is not a JSON object`);
  return json;
}

function nameOf(model: JsonObject): string | undefined {
  const config = model['config'];
  return isJsonObject(config) && typeof config['name'] === 'string' ? config['name'] : undefined;
}

/** One layer as the topology lists it. */
interface LayerEntry {
  readonly name: string;
  readonly className: string;
  readonly config: LayerConfig;
  /** Of each call: where its inputs come from. */
  readonly calls: readonly (readonly Origin[])[];
}

/** The value that a call of a layer gave. */
interface Origin {
  readonly layer: string;
  readonly call: number;
}

class Network {
  readonly inputs: GraphInput[] = [];
  /** Layers whose values are outputs, for their names. */
  readonly #outputNames: string[] = [];

  constructor(
    readonly file: string,
    readonly builder: LayersGraphBuilder,
    readonly options: LayersModelOptions,
  ) {}

  /** Builds a Sequential or functional model on the given inputs, or on inputs of the graph. */
  build(model: JsonObject, given: readonly string[] | undefined): string[] {
    const className = model['class_name'];
    if (className === 'Sequential') return this.#sequential(model['config'], given);
    if (className === 'Model' || className === 'Functional') return this.#functional(model['config'], given);
    throw new InvalidInputError(
      `the model is of class ${JSON.stringify(className)}: Sequential, Model and Functional of Keras 2 are supported`,
    );
  }

  /** Outputs with the names of their layers. */
  named(outputs: readonly string[]): { name: string; value: string }[] {
    const names = new Set<string>();
    return outputs.map((value, index) => {
      let name = this.#outputNames[index] ?? `output${index}`;
      while (names.has(name)) name = `${name}_${index}`;
      names.add(name);
      return { name, value };
    });
  }

  #sequential(config: unknown, given: readonly string[] | undefined): string[] {
    const layers = this.#entries(isJsonObject(config) ? config['layers'] : config);
    let value = given?.[0];
    for (const layer of layers) {
      if (layer.className === 'InputLayer') {
        value ??= this.#input(layer);
        continue;
      }
      value = this.#call(layer, [value ?? this.#input(layer)])[0]!;
    }
    if (value === undefined) throw new InvalidInputError('the model has no layers');
    if (given === undefined) this.#outputNames.push(layers.at(-1)!.name);
    return [value];
  }

  #functional(config: unknown, given: readonly string[] | undefined): string[] {
    if (!isJsonObject(config)) throw new InvalidInputError('the model has no "config"');
    const entries = this.#entries(config['layers']);
    const known = new Set(entries.map(({ name }) => name));
    const inputNames = this.#ends(config['input_layers'], 'input_layers').map(({ layer }) => layer);
    /** By layer: the values of its calls. */
    const values = new Map<string, string[]>();
    inputNames.forEach((name, index) => {
      const entry = entries.find((candidate) => candidate.name === name);
      if (entry === undefined) throw new InvalidInputError(`"input_layers" names '${name}', which is no layer`);
      const value = given === undefined ? this.#input(entry) : given[index];
      if (value === undefined) throw new InvalidInputError(`the nested model needs ${inputNames.length} inputs`);
      values.set(name, [value]);
    });
    let waiting = entries
      .filter(({ name }) => !values.has(name))
      .flatMap((entry) => entry.calls.map((call) => ({ entry, call })));
    const ready = ({ layer, call }: Origin): boolean => values.get(layer)?.[call] !== undefined;
    while (waiting.length > 0) {
      const later: typeof waiting = [];
      for (const step of waiting) {
        // Calls of one layer are numbered in their order, so a later one waits for an earlier one.
        const isNext = (values.get(step.entry.name)?.length ?? 0) === step.entry.calls.indexOf(step.call);
        if (!isNext || !step.call.every(ready)) {
          later.push(step);
          continue;
        }
        const [value] = this.#call(
          step.entry,
          step.call.map(({ layer, call }) => values.get(layer)![call]!),
        );
        values.set(step.entry.name, [...(values.get(step.entry.name) ?? []), value!]);
      }
      if (later.length === waiting.length) {
        const { entry, call } = later[0]!;
        const missing = call.find(({ layer }) => !known.has(layer));
        throw new InvalidInputError(
          missing === undefined
            ? `the layers around '${entry.name}' wait for each other`
            : `the layer '${entry.name}' reads '${missing.layer}', which is no layer`,
        );
      }
      waiting = later;
    }
    return this.#ends(config['output_layers'], 'output_layers').map((end) => {
      const value = values.get(end.layer)?.[end.call];
      if (value === undefined) throw new InvalidInputError(`"output_layers" names '${end.layer}', which is no layer`);
      if (given === undefined) this.#outputNames.push(end.layer);
      return value;
    });
  }

  #entries(layers: unknown): LayerEntry[] {
    if (!Array.isArray(layers)) throw new InvalidInputError('the model has no list of layers');
    if (layers.length > mostLayers)
      throw new InvalidInputError(`the model has ${layers.length} layers: at most ${mostLayers} are supported`);
    return layers.map((layer: unknown, index): LayerEntry => {
      const fields = isJsonObject(layer) ? layer : {};
      const config = isJsonObject(fields['config']) ? fields['config'] : {};
      const className = fields['class_name'];
      const name = fields['name'] ?? config['name'] ?? `layer${index}`;
      if (typeof className !== 'string' || typeof name !== 'string') {
        throw new InvalidInputError(`layer ${index} of the model has no class_name or name`);
      }
      const where = new LayerConfig(`layer '${name}' (${className})`, config);
      return { name, className, config: where, calls: inboundCalls(fields['inbound_nodes'], where) };
    });
  }

  #ends(value: unknown, field: string): Origin[] {
    // One end may stand without a list around it.
    const list = Array.isArray(value) && typeof value[0] === 'string' ? [value] : value;
    const origins = Array.isArray(list) ? list.map(originOf) : [];
    if (origins.length === 0 || origins.includes(undefined))
      throw new InvalidInputError(`"${field}" of the model is broken`);
    return origins as Origin[];
  }

  /** A graph input for a layer that says its `batch_input_shape`. */
  #input({ name, className, config }: LayerEntry): string {
    const given = config.fields['batch_input_shape'] ?? config.fields['batch_shape'];
    if (!Array.isArray(given)) {
      return config.refuse('its input shape is not known: the model has to say it in "batch_input_shape"');
    }
    const shape = [1, ...this.#sizes(given.slice(1), config)];
    const value = this.builder.input(className === 'InputLayer' ? name : `${name}_input`, shape);
    this.inputs.push({ name: value, shape });
    return value;
  }

  #sizes(given: readonly unknown[], config: LayerConfig): Shape {
    const { inputShape } = this.options;
    const asked = inputShape === undefined || given.length !== 3 ? [] : [inputShape[1], inputShape[2], inputShape[0]];
    return given.map((size, axis) => {
      if (size === null && asked[axis] !== undefined) return asked[axis];
      if (typeof size === 'number' && Number.isSafeInteger(size) && size > 0) return size;
      return config.refuse(`its input shape [${given.map(String).join(', ')}] is open: --input-shape C,H,W fixes it`);
    });
  }

  #call({ name, className, config }: LayerEntry, inputs: readonly string[]): string[] {
    if (className === 'Sequential' || className === 'Model' || className === 'Functional') {
      return this.build({ class_name: className, config: config.fields }, inputs);
    }
    const rule = Object.hasOwn(layerRules, className) ? layerRules[className] : undefined;
    if (rule === undefined) {
      throw new UnsupportedError(`${this.file}: the layer '${name}' is of class ${className}, which is not supported`);
    }
    if (inputs.length === 0) config.refuse('it has no inputs');
    return [rule({ layer: name, config, inputs, builder: this.builder })];
  }
}

/** `[[[layer, call, tensor, options], …], …]`, one list a call. */
function inboundCalls(value: unknown, config: LayerConfig): readonly (readonly Origin[])[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return config.refuse('"inbound_nodes" must be a list');
  return value.map((call: unknown) => {
    if (isJsonObject(call))
      return config.refuse('it is of Keras 3, whose calls are written otherwise: Keras 2 is supported');
    const origins = Array.isArray(call) ? call.map(originOf) : [undefined];
    return origins.every((origin) => origin !== undefined) ? origins : config.refuse('"inbound_nodes" is broken');
  });
}

function originOf(value: unknown): Origin | undefined {
  if (!Array.isArray(value)) return undefined;
  const [layer, call, tensor] = value as unknown[];
  return typeof layer === 'string' && Number.isSafeInteger(call) && tensor === 0
    ? { layer, call: call as number }
    : undefined;
}
