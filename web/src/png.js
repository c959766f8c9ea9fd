// PNG files, read to their very samples. Browsers manage colours, premultiply alpha and drop half of 16 bits.

import { CorruptError, ImageError, TruncatedError } from "./errors.js";

const START = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const [GREY, RGB, PALETTE, GREY_ALPHA, RGBA] = [0, 2, 3, 4, 6]; // colour types
const SAMPLES = { [GREY]: 1, [RGB]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [RGBA]: 4 }; // that a file stores of a pixel
const DEPTHS = { [GREY]: [1, 2, 4, 8, 16], [PALETTE]: [1, 2, 4, 8], [RGB]: [8, 16], [GREY_ALPHA]: [8, 16], [RGBA]: [8, 16] };
const MODES = ["L", "LA", "RGB", "RGBA"]; // by channels
const ADAM7 = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]]; // prettier-ignore
const USED = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND", "iCCP", "eXIf"];
const XMP = "XML:com.adobe.xmp";
const MOST_PIXELS = 2 ** 28;
const MOST_METADATA = 2 ** 23; // bytes of an ICC profile or XMP, inflated

export const isPng = (file) => START.every((byte, k) => file[k] === byte);

/** As index.d.ts has `PictureFile`. */
export async function readPng(file) {
  const chunks = [...chunksOf(file)];
  const contents = (kind) => chunks.filter((own) => own.kind === kind).map((own) => own.content);
  if (chunks.some(({ kind }) => kind === "acTL")) throw new ImageError("the PNG is an animation: save each frame as an image");
  const layout = layoutOf(chunks[0]);
  const rows = await inflated(contents("IDAT"), sizeOf(layout), "the pixels of the PNG");
  if (rows.length < sizeOf(layout)) throw new TruncatedError("the PNG has fewer rows than it states: get the file again");
  const pixels = pixelsOf(samplesOf(rows, layout), layout, contents("PLTE")[0], contents("tRNS")[0]);
  const { icc, exif, xmp } = await metadataOf(contents);
  const lost = new Set(chunks.map((own) => own.kind).filter((kind) => !USED.includes(kind)));
  if (xmp && contents("iTXt").length === 1) lost.delete("iTXt");
  const { content: last } = chunks.at(-1);
  if (last.byteOffset + last.length + 4 < file.byteOffset + file.length) lost.add("bytes after its end");
  return { format: "PNG", width: layout.width, height: layout.height, ...pixels, icc, exif, xmp, lost: [...lost] };
}

// --- chunks

function* chunksOf(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = START.length, kind; kind !== "IEND";) {
    const length = at + 12 <= file.length ? view.getUint32(at) : Infinity;
    const end = at + 8 + length;
    if (end + 4 > file.length) throw new TruncatedError("the PNG ends early: get the file again");
    kind = textOf(file.subarray(at + 4, at + 8));
    if (crc32(file.subarray(at + 4, end)) !== view.getUint32(end))
      throw new CorruptError(`the checksum of the PNG's chunk ${kind} is wrong: get the file again`);
    const isCritical = kind[0] === kind[0].toUpperCase();
    if (isCritical && !USED.includes(kind)) throw new ImageError(`the PNG has an unknown critical chunk ${kind}: save it as another PNG`);
    yield { kind, content: file.subarray(at + 8, end) };
    at = end + 4;
  }
}

const CRCS = Int32Array.from({ length: 256 }, (_, value) => {
  for (let k = 0; k < 8; k++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  return value;
});

function crc32(bytes) {
  let crc = -1;
  for (let k = 0; k < bytes.length; k++) crc = CRCS[(crc ^ bytes[k]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

const textOf = (bytes) => String.fromCharCode(...bytes);

/** What zlib streams that continue each other hold, which may be `most` bytes. */
async function inflated(pieces, most, name) {
  const parts = [];
  let count = 0;
  try {
    for await (const part of readable(new Blob(pieces).stream().pipeThrough(new DecompressionStream("deflate")))) {
      parts.push(part);
      if ((count += part.length) > most) break;
    }
  } catch (error) {
    throw new CorruptError(`${name} cannot be inflated (${error.message}): get the file again`);
  }
  if (count > most) throw new CorruptError(`${name} inflate to more than ${most} bytes: get the file again`);
  return joined(parts);
}

const joined = async (parts) => new Uint8Array(await new Blob(parts).arrayBuffer());

/** Safari's streams are no iterables. */
async function* readable(stream) {
  const reader = stream.getReader();
  try {
    for (let read; !(read = await reader.read()).done;) yield read.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function metadataOf(contents) {
  const [profile] = contents("iCCP");
  const [exif] = contents("eXIf");
  const xmp = contents("iTXt").find((own) => textOf(own.subarray(0, XMP.length + 1)) === `${XMP}\0`);
  return {
    icc: profile && (await inflated([profile.subarray(profile.indexOf(0) + 2)], MOST_METADATA, "the ICC profile of the PNG")),
    exif: exif && (await joined(["Exif\0\0", exif])), // as JPEG files have it
    xmp: xmp && (await xmpOf(xmp)),
  };
}

/** The text after keyword, compression, language and translated keyword. */
async function xmpOf(content) {
  const isCompressed = content[XMP.length + 1];
  const start = content.indexOf(0, content.indexOf(0, XMP.length + 3) + 1) + 1;
  return isCompressed ? inflated([content.subarray(start)], MOST_METADATA, "the XMP of the PNG") : content.slice(start);
}

// --- pixels

function layoutOf({ kind, content }) {
  if (kind !== "IHDR" || content.length !== 13) throw new CorruptError("the PNG does not begin with its header: get the file again");
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const [width, height, [depth, type, compression, filter, interlace]] = [view.getUint32(0), view.getUint32(4), content.subarray(8)];
  if (!DEPTHS[type]?.includes(depth) || compression || filter || interlace > 1)
    throw new CorruptError("the header of the PNG states what no PNG has: get the file again");
  if (!width || !height || width * height > MOST_PIXELS) throw new ImageError(`an image of ${width} x ${height} pixels: 1 to ${MOST_PIXELS} are possible`);
  const passes = (interlace ? ADAM7 : [[0, 0, 1, 1]]).map(([x, y, across, down]) => {
    return { x, y, across, down, columns: Math.ceil((width - x) / across), rows: Math.ceil((height - y) / down) };
  });
  return { width, height, depth, type, samples: SAMPLES[type], passes: passes.filter(({ columns, rows }) => columns > 0 && rows > 0) };
}

const rowBytes = ({ columns }, { samples, depth }) => Math.ceil((columns * samples * depth) / 8);
const sizeOf = (layout) => layout.passes.reduce((size, pass) => size + pass.rows * (1 + rowBytes(pass, layout)), 0);

/** Samples as they are stored, [height][width][samples]. */
function samplesOf(data, layout) {
  const { width, height, depth, samples } = layout;
  const found = new (depth > 8 ? Uint16Array : Uint8Array)(width * height * samples);
  const unit = Math.max(1, (samples * depth) / 8); // bytes from a byte to that of its left neighbour
  let at = 0;
  for (const pass of layout.passes) {
    let above = new Uint8Array(rowBytes(pass, layout));
    for (let k = 0; k < pass.rows; k++) {
      const row = data.subarray(at + 1, at + 1 + above.length);
      unfilter(data[at], row, above, unit);
      const start = ((pass.y + k * pass.down) * width + pass.x) * samples;
      if (depth === 8 && pass.across === 1) found.set(row, start);
      else
        for (let x = 0; x < pass.columns; x++)
          for (let s = 0; s < samples; s++) found[start + x * pass.across * samples + s] = sampleOf(row, x * samples + s, depth);
      at += 1 + above.length;
      above = row;
    }
  }
  return found;
}

function sampleOf(row, index, depth) {
  if (depth === 8) return row[index];
  if (depth === 16) return (row[2 * index] << 8) | row[2 * index + 1];
  const bit = index * depth;
  return (row[bit >> 3] >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
}

function unfilter(filter, row, above, unit) {
  if (filter > 4) throw new CorruptError("a row of the PNG has an unknown filter: get the file again");
  for (let k = 0; filter && k < row.length; k++) {
    const left = k < unit ? 0 : row[k - unit];
    const corner = k < unit ? 0 : above[k - unit];
    row[k] += filter === 1 ? left : filter === 2 ? above[k] : filter === 3 ? (left + above[k]) >> 1 : paeth(left, above[k], corner);
  }
}

function paeth(left, above, corner) {
  const nearLeft = Math.abs(above - corner);
  const nearAbove = Math.abs(left - corner);
  const nearCorner = Math.abs(left + above - 2 * corner);
  return nearLeft <= nearAbove && nearLeft <= nearCorner ? left : nearAbove <= nearCorner ? above : corner;
}

/** As index.d.ts has `Pixels`: of a palette its colours, and with a colour that is transparent, alpha. */
function pixelsOf(stored, { depth, type, samples }, palette, transparent) {
  if (type === PALETTE) return coloursOf(stored, palette, transparent);
  const isKeyed = transparent && (type === GREY || type === RGB);
  if (isKeyed && transparent.length !== 2 * samples) throw new CorruptError("the transparent colour of the PNG is none: get the file again");
  const [channels, most] = [samples + (isKeyed ? 1 : 0), depth > 8 ? 65535 : 255];
  const mode = depth === 1 && !isKeyed ? "1" : MODES[channels - 1];
  const scale = depth < 8 ? 255 / ((1 << depth) - 1) : 1;
  if (!isKeyed) return { mode, channels, data: scale > 1 ? stored.map((value) => value * scale) : stored };
  const key = Array.from({ length: samples }, (_, s) => (transparent[2 * s] << 8) | transparent[2 * s + 1]);
  const data = new stored.constructor((stored.length / samples) * channels);
  for (let from = 0, to = 0; from < stored.length; from += samples, to += channels) {
    let isKey = true;
    for (let s = 0; s < samples; s++) {
      data[to + s] = stored[from + s] * scale;
      isKey &&= stored[from + s] === key[s];
    }
    data[to + samples] = isKey ? 0 : most;
  }
  return { mode, channels, data };
}

function coloursOf(indices, palette = new Uint8Array(0), transparent) {
  const channels = transparent ? 4 : 3;
  const data = new Uint8Array(indices.length * channels);
  for (let k = 0; k < indices.length; k++) {
    const index = indices[k];
    if (3 * index + 3 > palette.length) throw new CorruptError("the palette of the PNG lacks colours of its pixels: get the file again");
    for (let c = 0; c < 3; c++) data[channels * k + c] = palette[3 * index + c];
    if (transparent) data[channels * k + 3] = transparent[index] ?? 255;
  }
  return { mode: MODES[channels - 1], channels, data };
}
