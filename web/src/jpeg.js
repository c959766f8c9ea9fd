// JPEG files of coefficients, decoded by the browser to their very samples: without colour management or rotation.

import { CorruptError, FormatError } from "./errors.js";

const OPTIONS = { colorSpaceConversion: "none", imageOrientation: "none" };

/** RGBA of a file, 4 bytes a pixel; nothing if it has another size. own: a caller's decoder. */
export async function rgbaOf({ width, height, data }, own = byCanvas) {
  return (await own(data, width, height)) ?? new Uint8Array(0);
}

/** A canvas does not change the samples of an opaque image. */
async function byCanvas(data, width, height) {
  if (!globalThis.OffscreenCanvas) throw new FormatError("the file holds a JPEG file, which nothing here decodes: give a decoder with `jpeg`");
  try {
    const bitmap = await createImageBitmap(new Blob([data], { type: "image/jpeg" }), OPTIONS);
    if (bitmap.width !== width || bitmap.height !== height) return null;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return new Uint8Array(context.getImageData(0, 0, width, height).data.buffer);
  } catch ({ message }) {
    throw new CorruptError(`the JPEG file inside does not decode (${message}): get the file again`);
  }
}
