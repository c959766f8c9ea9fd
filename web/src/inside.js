// WebP and JPEG files inside a file, decoded by the browser to their very samples: without colour management, premultiplication or rotation.

import { CorruptError, FormatError } from "./errors.js";

const OPTIONS = { premultiplyAlpha: "none", colorSpaceConversion: "none", imageOrientation: "none" };

/** RGBA of a file, 4 bytes a pixel; nothing if it has another size. own: a caller's decoders, `webp` and `jpeg`. */
export async function rgbaOf({ format, type, width, height, data }, own) {
  const decode = own[format.toLowerCase()] ?? browsersDecoder(format);
  return (await decode(data, width, height, type)) ?? new Uint8Array(0);
}

function browsersDecoder(format) {
  const decode = format !== "WebP" ? byCanvas : globalThis.ImageDecoder ? byImageDecoder : byTexture;
  if (!globalThis.OffscreenCanvas && decode !== byImageDecoder)
    throw new FormatError(`the file holds a ${format} file, which nothing here decodes: give a decoder with \`${format.toLowerCase()}\``);
  return (...given) =>
    decode(...given).catch(({ message }) => {
      throw new CorruptError(`the ${format} file inside does not decode (${message}): get the file again`);
    });
}

async function byImageDecoder(data, width, height, type) {
  const decoder = new ImageDecoder({ ...OPTIONS, type, data });
  const { image } = await decoder.decode();
  try {
    if (image.displayWidth !== width || image.displayHeight !== height) return null;
    const isReversed = /^BGR[AX]$/.test(image.format); // asked for RGBA, Chromium would multiply by alpha
    const options = isReversed || /^RGB[AX]$/.test(image.format) ? {} : { format: "RGBA" };
    const rgba = new Uint8Array(4 * width * height);
    await image.copyTo(rgba, { ...options, layout: [{ offset: 0, stride: 4 * width }] });
    for (let k = 0; isReversed && k < rgba.length; k += 4) [rgba[k], rgba[k + 2]] = [rgba[k + 2], rgba[k]];
    return rgba;
  } finally {
    image.close();
    decoder.close();
  }
}

async function byTexture(data, width, height, type) {
  const bitmap = await bitmapOf(data, width, height, type);
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!bitmap || !gl) return null;
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const rgba = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  gl.getExtension("WEBGL_lose_context")?.loseContext(); // pages may have few of them
  return rgba;
}

/** Of an opaque image, whose samples a canvas does not change. */
async function byCanvas(data, width, height, type) {
  const bitmap = await bitmapOf(data, width, height, type);
  if (!bitmap) return null;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return new Uint8Array(context.getImageData(0, 0, width, height).data.buffer);
}

async function bitmapOf(data, width, height, type) {
  const bitmap = await createImageBitmap(new Blob([data], { type }), OPTIONS);
  return bitmap.width === width && bitmap.height === height ? bitmap : null;
}
