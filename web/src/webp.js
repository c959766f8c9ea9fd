// WebP files, decoded by the browser without colour management or premultiplication, where that is known to be exact.

import { CorruptError, ImageError, TruncatedError } from "./errors.js";

const OPTIONS = { premultiplyAlpha: "none", colorSpaceConversion: "none", imageOrientation: "none" };
const [ANIMATION, ALPHA] = [0x02, 0x10]; // flags of VP8X
const USED = ["VP8X", "VP8 ", "VP8L", "ALPH", "ICCP", "EXIF", "XMP "];
// Four pixels of odd colours, nearly and fully transparent. Some browsers change pixels that scripts read, to protect their users.
const KNOWN_FILE = "UklGRj4AAABXRUJQVlA4TDIAAAAvAwAAEB8gJCCSsf4HzQ4hAXHAJP+DUxSyjQCHMqljeAk0LI6UCopp8ZyeVMVDkyP6Hw==";
const KNOWN = [201, 3, 77, 1, 5, 250, 131, 90, 255, 254, 1, 254, 17, 99, 203, 0];

const textOf = (bytes) => String.fromCharCode(...bytes);

export const isWebp = (file) => textOf(file.subarray(0, 4)) === "RIFF" && textOf(file.subarray(8, 12)) === "WEBP";

/** As index.d.ts has `PictureFile`. */
export async function readWebp(file) {
  const end = 8 + new DataView(file.buffer, file.byteOffset).getUint32(4, true);
  if (end > file.length) throw new TruncatedError("the WebP ends early: get the file again");
  const chunks = Object.fromEntries(chunksOf(file.subarray(0, end)));
  const [flags = 0] = chunks.VP8X ?? [];
  if (flags & ANIMATION) throw new ImageError("the WebP is an animation: save each frame as an image");
  if (!globalThis.createImageBitmap) throw new ImageError("nothing here decodes a WebP: give its pixels, or save it as PNG");
  const decode = await exactRoute();
  if (!decode) throw new ImageError("this browser changes the pixels of a WebP: save it as PNG");
  const { width, height, rgba } = await decode(file).catch(({ message }) => {
    throw new CorruptError(`the WebP does not decode (${message}): get the file again`);
  });
  const hasAlpha = (chunks.VP8X ? flags : chunks.VP8L?.[4]) & ALPHA; // the header of VP8L has the bit at the same place
  const lost = Object.keys(chunks).filter((kind) => !USED.includes(kind));
  if (end < file.length) lost.push("bytes after its end");
  const data = hasAlpha ? rgba : rgba.filter((_, k) => k % 4 !== 3);
  const [mode, channels] = hasAlpha ? ["RGBA", 4] : ["RGB", 3];
  return { format: "WebP", width, height, mode, channels, data, icc: chunks.ICCP, exif: chunks.EXIF, xmp: chunks["XMP "], lost };
}

function* chunksOf(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 12; at + 8 <= file.length;) {
    const size = view.getUint32(at + 4, true);
    yield [textOf(file.subarray(at, at + 4)), file.subarray(at + 8, at + 8 + size)];
    at += 8 + size + (size & 1);
  }
}

let route; // a promise: the first way by which the known file has its pixels; undefined: none
function exactRoute() {
  const known = Uint8Array.from(atob(KNOWN_FILE), (byte) => byte.charCodeAt(0));
  const isExact = ({ rgba }) => KNOWN.every((value, k) => rgba[k] === value);
  const find = async () => {
    for (const decode of [byFrame, byTexture]) if (await decode(known).then(isExact, () => false)) return decode;
  };
  return (route ??= find());
}

const bitmapOf = (data) => createImageBitmap(new Blob([data], { type: "image/webp" }), OPTIONS);

async function byFrame(data) {
  const frame = new VideoFrame(await bitmapOf(data), { timestamp: 0 });
  try {
    const { displayWidth: width, displayHeight: height, format } = frame;
    if (!/^(RGB|BGR)[AX]$/.test(format)) throw new Error(`its frame has the format ${format}`); // asked for another, browsers premultiply
    const rgba = new Uint8Array(4 * width * height);
    await frame.copyTo(rgba, { layout: [{ offset: 0, stride: 4 * width }] });
    for (let k = 0; format[0] === "B" && k < rgba.length; k += 4) [rgba[k], rgba[k + 2]] = [rgba[k + 2], rgba[k]];
    return { width, height, rgba };
  } finally {
    frame.close();
  }
}

/** Without frames. A canvas would premultiply. */
async function byTexture(data) {
  const bitmap = await bitmapOf(data);
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const rgba = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  const error = gl.getError(); // of a picture that is larger than a texture
  gl.getExtension("WEBGL_lose_context")?.loseContext(); // pages may have few of them
  if (error) throw new Error(`WebGL error ${error}`);
  return { width, height, rgba };
}
