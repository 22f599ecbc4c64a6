import type {
  GroupedConv2DAttrs,
  GroupedConv2DFilterGradientAttrs,
  GroupedConv2DInputGradientAttrs,
} from './grouped-conv-signatures.js';

/** Calls `visit` with the input pixel, output pixel and filter tap of every product that does not fall on padding. */
function forEachTap(
  inputShape: readonly number[],
  [kernelHeight, kernelWidth]: readonly number[],
  outputShape: readonly number[],
  { strides, padding, dilations }: GroupedConv2DAttrs,
  visit: (inputPixel: number, outputPixel: number, tap: number) => void,
): void {
  const [batch, height, width] = inputShape as [number, number, number];
  const [, outHeight, outWidth] = outputShape as [number, number, number];
  for (let n = 0; n < batch; n++) {
    for (let outY = 0; outY < outHeight; outY++) {
      for (let outX = 0; outX < outWidth; outX++) {
        const outputPixel = (n * outHeight + outY) * outWidth + outX;
        for (let ky = 0; ky < kernelHeight!; ky++) {
          const y = outY * strides[0] - padding[0] + ky * dilations[0];
          if (y < 0 || y >= height) continue;
          for (let kx = 0; kx < kernelWidth!; kx++) {
            const x = outX * strides[1] - padding[2] + kx * dilations[1];
            if (x >= 0 && x < width) visit((n * height + y) * width + x, outputPixel, ky * kernelWidth! + kx);
          }
        }
      }
    }
  }
}

const orderOrIdentity = (order: readonly number[] | null, length: number): Int32Array =>
  order ? Int32Array.from(order) : Int32Array.from({ length }, (_, channel) => channel);

const product = (shape: readonly number[]): number => shape.reduce((size, dimension) => size * dimension, 1);

/** The meaning of the kernel `GroupedConv2D`. */
export function groupedConv(
  x: Float32Array,
  xShape: readonly number[],
  filter: Float32Array,
  filterShape: readonly number[],
  outputShape: readonly number[],
  attrs: GroupedConv2DAttrs,
): Float32Array {
  const channelsIn = xShape[3]!;
  const channelsOut = filterShape[3]!;
  const groupIn = channelsIn / attrs.groups;
  const groupOut = channelsOut / attrs.groups;
  const inputOrder = orderOrIdentity(attrs.inputOrder, channelsIn);
  const outputOrder = orderOrIdentity(attrs.outputOrder, channelsOut);
  const byPosition = new Float32Array(product(outputShape));
  forEachTap(xShape, filterShape, outputShape, attrs, (inputPixel, outputPixel, tap) => {
    const xStart = inputPixel * channelsIn;
    const yStart = outputPixel * channelsOut;
    for (let group = 0; group < attrs.groups; group++) {
      for (let i = 0; i < groupIn; i++) {
        const value = x[xStart + inputOrder[group * groupIn + i]!]!;
        const row = (tap * groupIn + i) * channelsOut;
        for (let p = group * groupOut; p < (group + 1) * groupOut; p++) {
          byPosition[yStart + p]! += value * filter[row + p]!;
        }
      }
    }
  });
  return attrs.outputOrder ? scatterChannels(byPosition, outputOrder) : byPosition;
}

/** The meaning of the kernel `GroupedConv2DInputGradient`. */
export function groupedConvInputGradient(
  dy: Float32Array,
  dyShape: readonly number[],
  filter: Float32Array,
  filterShape: readonly number[],
  attrs: GroupedConv2DInputGradientAttrs,
): Float32Array {
  const channelsIn = attrs.inputShape[3]!;
  const channelsOut = filterShape[3]!;
  const groupIn = channelsIn / attrs.groups;
  const groupOut = channelsOut / attrs.groups;
  const inputOrder = orderOrIdentity(attrs.inputOrder, channelsIn);
  const outputOrder = orderOrIdentity(attrs.outputOrder, channelsOut);
  const dx = new Float32Array(product(attrs.inputShape));
  const byPosition = attrs.outputOrder ? gatherChannels(dy, outputOrder) : dy;
  forEachTap(attrs.inputShape, filterShape, dyShape, attrs, (inputPixel, outputPixel, tap) => {
    const yStart = outputPixel * channelsOut;
    for (let group = 0; group < attrs.groups; group++) {
      for (let i = 0; i < groupIn; i++) {
        const row = (tap * groupIn + i) * channelsOut;
        let sum = 0;
        for (let p = group * groupOut; p < (group + 1) * groupOut; p++)
          sum += byPosition[yStart + p]! * filter[row + p]!;
        dx[inputPixel * channelsIn + inputOrder[group * groupIn + i]!]! += sum;
      }
    }
  });
  return dx;
}

/** The meaning of the kernel `GroupedConv2DFilterGradient`. */
export function groupedConvFilterGradient(
  x: Float32Array,
  xShape: readonly number[],
  dy: Float32Array,
  dyShape: readonly number[],
  attrs: GroupedConv2DFilterGradientAttrs,
): Float32Array {
  const channelsIn = xShape[3]!;
  const channelsOut = dyShape[3]!;
  const groupIn = channelsIn / attrs.groups;
  const groupOut = channelsOut / attrs.groups;
  const inputOrder = orderOrIdentity(attrs.inputOrder, channelsIn);
  const outputOrder = orderOrIdentity(attrs.outputOrder, channelsOut);
  const gradient = new Float32Array(product(attrs.filterShape));
  const byPosition = attrs.outputOrder ? gatherChannels(dy, outputOrder) : dy;
  forEachTap(xShape, attrs.filterShape, dyShape, attrs, (inputPixel, outputPixel, tap) => {
    const xStart = inputPixel * channelsIn;
    const yStart = outputPixel * channelsOut;
    for (let group = 0; group < attrs.groups; group++) {
      const inputGroup = attrs.inputGroups ? attrs.inputGroups[group]! : group;
      for (let i = 0; i < groupIn; i++) {
        const value = x[xStart + inputOrder[inputGroup * groupIn + i]!]!;
        const row = (tap * groupIn + i) * channelsOut;
        for (let p = group * groupOut; p < (group + 1) * groupOut; p++) {
          gradient[row + p]! += value * byPosition[yStart + p]!;
        }
      }
    }
  });
  return gradient;
}

/** Channels by position → channels in place: `result[…, order[p]] = values[…, p]`. */
function scatterChannels(values: Float32Array, order: Int32Array): Float32Array {
  const result = new Float32Array(values.length);
  const channels = order.length;
  for (let start = 0; start < values.length; start += channels) {
    for (let p = 0; p < channels; p++) result[start + order[p]!] = values[start + p]!;
  }
  return result;
}

/** Channels in place → channels by position: `result[…, p] = values[…, order[p]]`. */
function gatherChannels(values: Float32Array, order: Int32Array): Float32Array {
  const result = new Float32Array(values.length);
  const channels = order.length;
  for (let start = 0; start < values.length; start += channels) {
    for (let p = 0; p < channels; p++) result[start + p] = values[start + order[p]!]!;
  }
  return result;
}
