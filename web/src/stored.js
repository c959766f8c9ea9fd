// WebP and JPEG files by the browser, to the samples that are in the file: without colour management, premultiplication or rotation.

import { CorruptError, FormatError } from "./errors.js";

const OPTIONS = { premultiplyAlpha: "none", colorSpaceConversion: "none", imageOrientation: "none" };
const NAMES = { webp: "WebP", jpeg: "JPEG" };

/** Samples of a stored file in as many channels as the image has. own: a caller's decoders by kind, which return RGBA. */
export async function storedPixels(data, info, own) {
  const { channels } = info;
  const kind = info.kind === "coefficients" ? "jpeg" : info.kind;
  const { width, height } = info.kind === "coefficients" ? sizeOfJpeg(data) : info; // the core made the file, of a part if it likes
  const decode = own[kind] ?? (await browsersDecoder(kind));
  const rgba = await decode(data, width, height, `image/${kind}`);
  if (rgba?.length !== 4 * width * height) throw new CorruptError(`the ${NAMES[kind]} file inside has another size than the header states: get the file again`);
  const from = [[0], [0, 3], [0, 1, 2], [0, 1, 2, 3]][channels - 1]; // of each channel, in RGBA
  const pixels = new Uint8Array(channels * width * height);
  for (let k = 0; k < pixels.length; k++) pixels[k] = rgba[4 * Math.floor(k / channels) + from[k % channels]];
  return pixels;
}

/** A function that gives RGBA, 4 bytes a pixel, or null if the image has another size. */
async function browsersDecoder(kind) {
  const refuse = (problem, help) => {
    throw new FormatError(`the file stores a ${NAMES[kind]} file, ${problem}: ${help}`);
  };
  const decode = kind !== "webp" ? byCanvas : globalThis.ImageDecoder ? byImageDecoder : byTexture;
  if (!globalThis.OffscreenCanvas && decode !== byImageDecoder) refuse("which nothing here decodes", `give a decoder with \`${kind}\``);
  return (...given) =>
    decode(...given).catch((error) => {
      throw new CorruptError(`the ${NAMES[kind]} file inside does not decode (${error.message}): get the file again`);
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
  const bitmap = await createImageBitmap(new Blob([data], { type }), OPTIONS);
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

/** Of an opaque image, whose samples a canvas does not change. */
async function byCanvas(data, width, height, type) {
  const bitmap = await createImageBitmap(new Blob([withoutExif(data)], { type }), OPTIONS);
  if (bitmap.width !== width || bitmap.height !== height) return null;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return new Uint8Array(context.getImageData(0, 0, width, height).data.buffer);
}

function sizeOfJpeg(file) {
  let at = 2;
  while (![0xc0, 0xc1, 0xc2].includes(file[at + 1])) at += 2 + 256 * file[at + 2] + file[at + 3];
  return { width: 256 * file[at + 7] + file[at + 8], height: 256 * file[at + 5] + file[at + 6] };
}

/** A JPEG file whose EXIF is not recognised: browsers turn the image by it, whatever they are asked. */
function withoutExif(jpeg) {
  const own = jpeg.slice();
  for (let at = 2; own[at] === 0xff && own[at + 1] !== 0xda; at += 2 + 256 * own[at + 2] + own[at + 3])
    if (own[at + 1] === 0xe1) own[at + 4] = 0; // the first letter of its name
  return own;
}
