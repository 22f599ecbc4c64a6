import { InvalidInputError, type Preprocessing, type Shape } from '@dgconv/core';
import type { RuntimeTensor } from '@dgconv/runtimes';

/** How files of the formats that we take begin; others (SVG, say) could ask for more than pixels. */
const beginnings = [
  [0x89, 0x50, 0x4e, 0x47],
  [0xff, 0xd8, 0xff],
] as const;

/**
 * Prepares an image file as a network's input: resize (and centre crop), `(value / 255 - mean) / standardDeviation`.
 * @param shape - the input's, `[1, H, W, C]`.
 * @returns NHWC.
 * @throws {InvalidInputError} if the file is no image, or its colours do not fit the input.
 */
export const readImage = async (
  bytes: Uint8Array,
  file: string,
  shape: Shape,
  preprocessing: Preprocessing,
): Promise<RuntimeTensor> => {
  const [, height, width, channels] = shape;
  const { colour, mean, standardDeviation, resizeShorterSide } = preprocessing;
  const wanted = colour === 'grey' ? 1 : 3;
  if (shape.length !== 4 || channels !== wanted)
    throw new InvalidInputError(`${file}: the model's input [${shape.join(', ')}] takes no ${colour} image`);
  if (!beginnings.some((beginning) => beginning.every((byte, at) => bytes[at] === byte)))
    throw new InvalidInputError(`${file} is no PNG or JPEG image`);
  const { default: sharp } = await import('sharp');
  let pixels: Uint8Array;
  try {
    // The limit keeps a hostile header from claiming gigabytes.
    let image = sharp(bytes, { limitInputPixels: 1e8 }).removeAlpha();
    if (resizeShorterSide === null) image = image.resize(width!, height!, { fit: 'fill' });
    else {
      const { width: from = 0, height: tall = 0 } = await image.metadata();
      const factor = resizeShorterSide / Math.min(from, tall);
      const [scaledWidth, scaledHeight] = [Math.round(from * factor), Math.round(tall * factor)];
      const [left, top] = [(scaledWidth - width!) >> 1, (scaledHeight - height!) >> 1];
      image = image
        .resize(scaledWidth, scaledHeight, { fit: 'fill' })
        .extract({ left, top, width: width!, height: height! });
    }
    const { data, info } = await (colour === 'grey' ? image.greyscale() : image.toColourspace('srgb'))
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== wanted) throw new Error(`it has ${info.channels} channels, the model takes ${wanted}`);
    pixels = data;
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw new InvalidInputError(`${file} is no image that can be used here: ${reason}`, { cause: error });
  }
  const data = Float32Array.from(pixels, (value, at) => {
    const channel = at % wanted;
    return (value / 255 - mean[channel]!) / standardDeviation[channel]!;
  });
  return { shape: [1, height!, width!, wanted], data };
};
