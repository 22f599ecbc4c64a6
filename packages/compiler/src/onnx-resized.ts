/** Pixels of an axis that ONNX's Resize scales: the product in float32, as ONNX and ONNX Runtime infer it, rounded down. */
export const scaledPixels = (pixels: number, scale: number): number =>
  Math.floor(Math.fround(pixels * Math.fround(scale)));
