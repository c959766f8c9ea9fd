// What a header says, and pictures as canvases take them.

import { bytesOf } from "./bytes.js";
import { File } from "./file.js";

/** What a file says of itself, without decoding: of a prefix, once the header is there. */
export function info(data) {
  const { header, start, isLossy, missing } = new File(bytesOf(data));
  const { width, height, mode, effort, levels, steps, orientation, tileCount, modelNumber, modelId } = header;
  const model = header.webp ? null : modelNumber || modelId;
  return { width, height, mode, effort, levels, steps, orientation, tiles: tileCount, model, webp: header.webp, lossy: isLossy, headerBytes: start, missing };
}

/** Uint8ClampedArray of 4 bytes a pixel, as ImageData takes them. */
export function toRGBA({ width, height, channels, data }) {
  const found = new Uint8ClampedArray(4 * width * height);
  const colours = channels < 3 ? 1 : 3;
  for (let k = 0, from = 0, to = 0; k < width * height; k++, from += channels, to += 4) {
    for (let c = 0; c < 3; c++) found[to + c] = data[from + (colours === 1 ? 0 : c)];
    found[to + 3] = channels % 2 ? 255 : data[from + colours];
  }
  return found;
}
