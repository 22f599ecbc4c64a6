import type { Graph } from '@dgconv/core';
import { zipSync } from 'fflate';
import { Builder } from 'flatbuffers';
import { writeOffsetVector } from './tflite-schema.js';

/** Name under which TFLite's own metadata lie among the model's, and of the labels file behind the model. */
export const metadataName = 'TFLITE_METADATA';
const labelsFile = 'labels.txt';

/** Values of TFLite's metadata schema. */
const contentType = { feature: 1, image: 2 } as const;
const colourSpace = { rgb: 1, grey: 2 } as const;
const normalization = 1;
const tensorAxisLabels = 2;

const floats = (builder: Builder, values: readonly number[]): number => {
  builder.startVector(4, values.length, 4);
  for (let i = values.length - 1; i >= 0; i--) builder.addFloat32(values[i]!);
  return builder.endVector();
};

const table = (builder: Builder, slots: number, fill: () => void): number => {
  builder.startObject(slots);
  fill();
  return builder.endObject();
};

/** Content of an image (or of features, where `space` is null) as the schema wraps it. */
const writeContent = (builder: Builder, space: 'rgb' | 'grey' | null): number => {
  const properties = table(builder, 2, () => {
    if (space !== null) builder.addFieldInt8(0, colourSpace[space], 0);
  });
  return table(builder, 3, () => {
    builder.addFieldInt8(0, space === null ? contentType.feature : contentType.image, 0);
    builder.addFieldOffset(1, properties, 0);
  });
};

/** The image input: its colours, and pixels 0 … 255 normalised as `(pixel - mean) / deviation`. */
const writeInput = (builder: Builder, graph: Graph, name: string): number => {
  const { colour, mean, standardDeviation } = graph.metadata.preprocessing!;
  const nameOffset = builder.createString(name);
  const content = writeContent(builder, colour);
  // MediaPipe takes one value for all channels only: where they agree, one is written.
  const scaled = (values: readonly number[]): number[] =>
    (values.every((value) => value === values[0]) ? values.slice(0, 1) : values).map((value) => value * 255);
  const meanOffset = floats(builder, scaled(mean));
  const deviationOffset = floats(builder, scaled(standardDeviation));
  const options = table(builder, 2, () => {
    builder.addFieldOffset(0, meanOffset, 0);
    builder.addFieldOffset(1, deviationOffset, 0);
  });
  const unit = table(builder, 2, () => {
    builder.addFieldInt8(0, normalization, 0);
    builder.addFieldOffset(1, options, 0);
  });
  const units = writeOffsetVector(builder, [unit]);
  const most = floats(builder, mean.map((value, at) => (1 - value) / standardDeviation[at]!)); // prettier-ignore
  const least = floats(builder, mean.map((value, at) => -value / standardDeviation[at]!)); // prettier-ignore
  const stats = table(builder, 2, () => {
    builder.addFieldOffset(0, most, 0);
    builder.addFieldOffset(1, least, 0);
  });
  return table(builder, 7, () => {
    builder.addFieldOffset(0, nameOffset, 0);
    builder.addFieldOffset(3, content, 0);
    builder.addFieldOffset(4, units, 0);
    builder.addFieldOffset(5, stats, 0);
  });
};

/** The scores of a classifier, with the file that names the classes. */
const writeOutput = (builder: Builder, name: string): number => {
  const nameOffset = builder.createString(name);
  const content = writeContent(builder, null);
  const fileName = builder.createString(labelsFile);
  const file = table(builder, 4, () => {
    builder.addFieldOffset(0, fileName, 0);
    builder.addFieldInt8(2, tensorAxisLabels, 0);
  });
  const files = writeOffsetVector(builder, [file]);
  return table(builder, 7, () => {
    builder.addFieldOffset(0, nameOffset, 0);
    builder.addFieldOffset(3, content, 0);
    builder.addFieldOffset(6, files, 0);
  });
};

/**
 * TFLite's own metadata of an image classifier, as MediaPipe and Task libraries read them; null for a network that is none, or that
 * does not say how images are prepared and classes are called.
 */
export const classifierMetadata = (graph: Graph): Uint8Array | null => {
  const { preprocessing, classNames, name } = graph.metadata;
  const isClassifier = graph.inputs.length === 1 && graph.outputs.length === 1;
  if (preprocessing === undefined || classNames === undefined || !isClassifier) return null;
  const builder = new Builder(1024);
  const modelName = builder.createString(name);
  const parserVersion = builder.createString('1.0.0');
  const inputs = writeOffsetVector(builder, [writeInput(builder, graph, graph.inputs[0]!.name)]);
  const outputs = writeOffsetVector(builder, [writeOutput(builder, graph.outputs[0]!.name)]);
  const subgraph = table(builder, 5, () => {
    builder.addFieldOffset(2, inputs, 0);
    builder.addFieldOffset(3, outputs, 0);
  });
  const subgraphs = writeOffsetVector(builder, [subgraph]);
  const model = table(builder, 8, () => {
    builder.addFieldOffset(0, modelName, 0);
    builder.addFieldOffset(3, subgraphs, 0);
    builder.addFieldOffset(7, parserVersion, 0);
  });
  builder.finish(model, 'M001');
  return builder.asUint8Array().slice();
};

/** The model with the labels file packed behind it: a zip archive whose offsets count from the start of the file. */
export const packLabels = (model: Uint8Array, classNames: readonly string[]): Uint8Array => {
  const labels = new TextEncoder().encode(classNames.map((name) => `${name.replaceAll('\n', ' ')}\n`).join(''));
  // A fixed date keeps the bytes the same each time.
  const archive = zipSync({ [labelsFile]: [labels, { level: 0, mtime: '1980-01-01T12:00:00' }] });
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  const end = archive.length - 22;
  const directory = view.getUint32(end + 16, true);
  view.setUint32(directory + 42, model.length + view.getUint32(directory + 42, true), true);
  view.setUint32(end + 16, model.length + directory, true);
  const result = new Uint8Array(model.length + archive.length);
  result.set(model);
  result.set(archive, model.length);
  return result;
};
