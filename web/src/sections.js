// What no model codes: the alpha plane and the metadata; and graphics, as lossless WebP: docs/format.md.

import { Reader, crc32, uint32 } from "./bytes.js";
import { ChecksumError, CorruptError, FormatError, TruncatedError } from "./errors.js";

const MAX_METADATA = 2 ** 24;
const CRC_BYTES = 4;
const KINDS = { 1: "icc", 2: "exif", 3: "xmp" };
const OPAQUE = 255;

/** { alpha, icc, exif, xmp, damaged } of a file. partial: of a cut section what it holds, of damaged ones nothing. */
export function sideSections(core, file, partial) {
  const { header } = file;
  const side = { alpha: null, icc: new Uint8Array(0), exif: new Uint8Array(0), xmp: new Uint8Array(0), damaged: false };
  const attempt = (work) => {
    try {
      work();
    } catch (error) {
      if (!(error instanceof FormatError) || !partial) throw error;
      side.damaged = true;
    }
  };
  if (header.hasAlphaSection) {
    side.alpha = opaque(header);
    const unpack = file.alpha.length === header.alphaLength ? unpackAlpha : previewAlpha;
    attempt(() => (side.alpha = unpack(core, file.alpha, header)));
  }
  if (header.metadataLength && file.metadata.length === header.metadataLength)
    attempt(() => Object.assign(side, unpackMetadata(core, file.metadata)));
  return side;
}

export function opaque({ width, height }) {
  return new Uint8Array(width * height).fill(OPAQUE);
}

function unpackAlpha(core, section, header) {
  const { width, height } = header;
  const end = Math.max(section.length - CRC_BYTES, 0);
  const { data, ended } = core.inflate(section.subarray(0, end), width * height);
  if (!ended || data.length !== width * height)
    throw new CorruptError("the alpha section does not hold as many pixels as the image: the data is damaged");
  const plane = sumRows(data, width);
  if (crc32(plane) !== uint32(section, end))
    throw new ChecksumError("the alpha section decodes to other pixels than were encoded: the data is damaged");
  return plane;
}

/** As far as a section that is cut holds it; opaque in the rows that are missing. */
function previewAlpha(core, section, header) {
  const { data } = core.inflate(section, header.width * header.height);
  const plane = opaque(header);
  plane.set(sumRows(data.subarray(0, data.length - (data.length % header.width)), header.width));
  return plane;
}

function sumRows(data, width) {
  for (let k = width; k < data.length; k++) data[k] += data[k - width];
  return data;
}

function unpackMetadata(core, section) {
  const deflated = section.subarray(CRC_BYTES);
  if (section.length < CRC_BYTES || crc32(deflated) !== uint32(section, 0))
    throw new ChecksumError("the metadata section is damaged: its checksum does not match; get the file again");
  const { data, ended } = core.inflate(deflated, MAX_METADATA);
  if (!ended) throw new FormatError(`the metadata section holds more than ${MAX_METADATA} bytes, or bytes follow its end`);
  const reader = new Reader(data, "the metadata");
  const found = {};
  try {
    while (reader.position < data.length) {
      const kind = reader.byte();
      const name = KINDS[kind];
      if (!name || name in found) throw new FormatError(`unknown or repeated kind of metadata ${kind}: a newer decoder is needed`);
      found[name] = reader.take(reader.varint()).slice();
    }
  } catch (error) {
    if (!(error instanceof TruncatedError)) throw error;
    throw new FormatError(`the metadata contradicts itself (${error.message})`);
  }
  return found;
}

// --- WebP

/** { colour, alpha } of a whole payload. decodeWebP: gives RGBA of the bytes of a WebP file. */
export async function unpackWebP(payload, header, decodeWebP) {
  const { width, height, channels, hasAlpha } = header;
  const webp = payload.subarray(CRC_BYTES);
  if (payload.length < 2 * CRC_BYTES + 4 || uint32(webp, 4) + 8 !== webp.length)
    throw new CorruptError("the WebP inside the file has another length than it says: get the file again");
  const rgba = await decodeWebP(webp, width, height);
  const size = width * height;
  if (rgba?.length !== 4 * size) throw new CorruptError("the WebP inside the file is of another size than the header says");
  const colour = new Uint8Array(channels * size);
  for (let k = 0; k < size; k++) for (let c = 0; c < channels; c++) colour[k * channels + c] = rgba[4 * k + c];
  const alpha = hasAlpha ? Uint8Array.from({ length: size }, (_, k) => rgba[4 * k + 3]) : null;
  const check = alpha ? crc32(alpha, crc32(colour)) : crc32(colour);
  if (check !== uint32(payload, 0))
    throw new ChecksumError(
      "the WebP inside the file decodes to another image than was encoded: get the file again; or this browser changes" +
        " what scripts read of pictures, then give a decoder with `webp`",
    );
  return { colour, alpha };
}
