// Whole files and prefixes, at once. See index.d.ts.

import { Decoding } from "./decoding.js";
import { bytesOf } from "./waiting.js";

/** Returns work(decoding), once all of the data was fed. */
async function withDecoding(data, options, partial, work) {
  const bytes = bytesOf(data);
  const decoding = await Decoding.begin(options, partial);
  try {
    decoding.feed(bytes);
    decoding.finish();
    return await work(decoding);
  } finally {
    decoding.free();
  }
}

export async function decode(data, options = {}) {
  const { partial, maxBytes } = options;
  const isPartial = Boolean(partial) || maxBytes !== undefined;
  const whole = bytesOf(data);
  const picture = async (decoding) => (await decoding.advance(), decoding.picture());
  return withDecoding(maxBytes === undefined ? whole : whole.subarray(0, maxBytes), options, isPartial, picture);
}

export async function info(data, { base, signal } = {}) {
  return withDecoding(data, { base, signal, maxPixels: 1 }, true, (decoding) => decoding.readHeader());
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
