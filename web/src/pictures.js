// Picture files to what an encoder takes: a JPEG file as it is, or the pixels of others.

import { ImageError } from "./errors.js";
import { isPng, readPng } from "./png.js";
import { bytesOf, chunksOf } from "./sources.js";
import { isWebp, readWebp } from "./webp.js";

/** source: of index.d.ts. */
export async function readPicture(source, { signal } = {}) {
  const parts = [];
  for await (const chunks of chunksOf(source, signal)) parts.push(...chunks);
  const file = new Uint8Array(await new Blob(parts).arrayBuffer());
  if (isJpeg(file)) return { format: "JPEG", jpeg: file, lost: [] };
  if (isPng(file)) return readPng(file);
  if (isWebp(file)) return readWebp(file);
  throw new ImageError("the file is not a JPEG, PNG or WebP file: save the picture as PNG");
}

const isJpeg = (file) => [0xff, 0xd8, 0xff].every((byte, k) => file[k] === byte);
