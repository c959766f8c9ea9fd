// Lossless WebP by the browser, to the samples that are in the file: a 2D canvas would multiply them with their alpha.

import { CorruptError, FormatError } from "./errors.js";

const OPTIONS = { premultiplyAlpha: "none", colorSpaceConversion: "none" };

/** RGBA of a WebP file, 4 bytes a pixel; null where it is of another size. */
export async function browsersWebP(data, width, height) {
  try {
    if (globalThis.ImageDecoder) return await byImageDecoder(data, width, height);
    if (globalThis.OffscreenCanvas) return await byTexture(data, width, height);
  } catch (error) {
    throw new CorruptError(`the WebP inside the file does not decode (${error.message}): get the file again`);
  }
  throw new FormatError("the file holds a WebP, and nothing here decodes it: give a decoder with `webp`");
}

async function byImageDecoder(data, width, height) {
  const decoder = new ImageDecoder({ ...OPTIONS, type: "image/webp", data: data.slice() });
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

async function byTexture(data, width, height) {
  const bitmap = await createImageBitmap(new Blob([data], { type: "image/webp" }), OPTIONS);
  if (bitmap.width !== width || bitmap.height !== height) return null;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl) throw new Error("there is no WebGL");
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
