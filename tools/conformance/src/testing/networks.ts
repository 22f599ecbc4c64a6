import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Small networks of the zoo, one of each family, with learned and hand-made groups. */
export const smallZoo = [
  'resnext_mnist',
  'g_resnet_mnist',
  'condensenet_mnist',
  'shufflenet_mnist',
  'igcv1_mnist',
  'mobilenet_v2_flgc_mnist',
] as const;

/** Trained ONNX networks of others, by file, with the C, H, W that they are compiled for and run at. */
export const realOnnxNetworks: Readonly<Record<string, readonly [number, number, number]>> = {
  'text-direction.onnx': [3, 48, 192],
  'text-detector.onnx': [3, 96, 96],
  'text-recogniser.onnx': [3, 48, 96],
  'yolov8n.onnx': [3, 96, 96],
  'yolox.onnx': [3, 416, 416],
  'page-orientation.onnx': [3, 224, 224],
};

/** Trained TFLite networks of others, by file, and what is special about them. */
export const realTfliteNetworks = {
  'face-detector.tflite': 'float16 weights behind DEQUANTIZE',
  'sparse-face-detector.tflite': 'sparse weights behind DENSIFY, DEPTH_TO_SPACE',
  'iris-landmarks.tflite': 'PRELU, two branches',
  'selfie-segmenter.tflite': "MediaPipe's custom transposed convolution, HARD_SWISH, RESIZE_BILINEAR",
} as const;

const folder = fileURLToPath(new URL('../../../../../node_modules/.cache/real-networks/', import.meta.url));

/** Where a trained network of others is, once scripts/fetch-real-networks.mjs has put it there. */
export const realNetworkPath = (file: string): string => join(folder, file);

/** Why a trained network of others cannot be tested here, or null. */
export const whyNoRealNetwork = (file: string): string | null =>
  existsSync(realNetworkPath(file)) ? null : 'skipped: node scripts/fetch-real-networks.mjs was not run';
