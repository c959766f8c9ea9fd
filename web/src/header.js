// Header and index of a .ddpm file: docs/format.md, "Header", "Tiles and index".

import { Reader, crc16, hex } from "./bytes.js";
import { FormatError, TruncatedError } from "./errors.js";

const MAGIC = [0xdd, 0x0a];
const ARCHIVE_MAGIC = [0xdd, 0x41, 0x0d, 0x0a];
const VERSION = 1;
const CHECKED = 32; // in the byte of the version: a CRC ends the header
const TILED = 1;
const METADATA = 2;
const STORED = 4;
const SQUARE = 8;
const MODES = ["L", "RGB", "LA", "RGBA", "1"];
const LEVELS = [0, 2, 5];
const SMALLEST_HEADER = 6;
const CRC16_BYTES = 2;

const MAX_PIXELS = 2 ** 28;
const MAX_TILE_PIXELS = 2 ** 21;
const MAX_CHUNKS = 2 ** 20;
const MAX_METADATA = 2 ** 24;
const MAX_WEBP_SIDE = 16383;

/** Parts of the segments of a noise level, and of those of the exact step: docs/format.md, "Levels, steps and segments". */
const PARTS_OF_LEVEL = [1, 1, 1, 1, 1, 2, 4];
const PARTS_OF_EXACT = [2, 2, 2, 2, 2, 2, 2, 2];
/** Parts of the segments of each step, by the number of noise levels. */
const STEPS = Object.fromEntries(LEVELS.map((levels) => [levels, [...Array(levels).fill(PARTS_OF_LEVEL), PARTS_OF_EXACT]]));

function refuse(message) {
  throw new FormatError(message);
}

export class Header {
  webp = false;
  orientation = 1; // as EXIF counts them
  alphaLength = 0;
  metadataLength = 0;
  payloadLength = 0;
  index = null; // of a tiled file: tileWidth, tileHeight, segments, lengths, checks
  covered = new Uint8Array(0); // of a plain file: what its stream's check covers in front of the samples

  /** Colour channels. */
  get channels() {
    return this.mode.startsWith("RGB") ? 3 : 1;
  }

  get hasAlpha() {
    return this.mode.endsWith("A");
  }

  get hasAlphaSection() {
    return this.hasAlpha && !this.webp;
  }

  /** A single stream and nothing beside it: the payload is the rest of the file. */
  get isPlain() {
    return !(this.index || this.webp || this.hasAlpha || this.metadataLength);
  }

  get tileWidth() {
    return this.index ? this.index.tileWidth : this.width;
  }

  get tileHeight() {
    return this.index ? this.index.tileHeight : this.height;
  }

  get tileCount() {
    return Math.ceil(this.width / this.tileWidth) * Math.ceil(this.height / this.tileHeight);
  }

  get chunkLengths() {
    return this.index ? this.index.lengths : [this.payloadLength];
  }

  get steps() {
    return this.webp ? 1 : STEPS[this.levels].length;
  }

  /** Segments of a tile that the noise levels call for. */
  get segments() {
    return this.parts.length;
  }

  /** Into how many parts each of them is cut. */
  get parts() {
    return STEPS[this.levels].flat();
  }

  /** How many steps so many segments complete. */
  stepsDone(segments) {
    let steps = 0;
    for (const { length } of STEPS[this.levels]) {
      if ((segments -= length) < 0) break;
      steps++;
    }
    return steps;
  }

  /** Where a tile lies. */
  box(tile) {
    const columns = Math.ceil(this.width / this.tileWidth);
    const top = Math.floor(tile / columns) * this.tileHeight;
    const left = (tile % columns) * this.tileWidth;
    return {
      top,
      left,
      height: Math.min(this.tileHeight, this.height - top),
      width: Math.min(this.tileWidth, this.width - left),
    };
  }
}

/** The header with its index, and the length of both. Throws TruncatedError where the data ends inside them. */
export function parseHeader(data) {
  const reader = new Reader(data, "the header", SMALLEST_HEADER);
  const header = new Header();
  checkMagic(data);
  reader.take(MAGIC.length);
  const checked = takeVersion(reader, header);
  const flags = takeCoding(reader, header);
  if (!header.webp) {
    header.modelNumber = reader.byte();
    header.modelId = header.modelNumber ? "" : hex(reader.take(4));
  }
  takeSize(reader, header, flags & SQUARE);
  header.meanColour = header.webp ? reader.take(header.channels).slice() : new Uint8Array(0);
  if (header.webp ? header.effort || header.levels : !header.effort)
    refuse(`the header claims effort ${header.effort} and ${header.levels} noise levels: the data is damaged`);
  if (header.hasAlphaSection) header.alphaLength = reader.varint();
  if (flags & METADATA) takeMetadata(reader, header);
  if (checked === (header.isPlain && !(flags & TILED)))
    refuse("the header has a checksum and nothing that calls for one, or the reverse: it is damaged");
  if (flags & TILED) {
    takeIndex(reader, header);
  } else {
    checkTiles(header);
    if (checked) {
      header.payloadLength = reader.varint();
      checkCrc(reader, data.subarray(0, reader.position));
    } else {
      header.covered = data.slice(0, reader.position);
      header.covered[2] = (VERSION << 6) | MODES.indexOf(header.mode); // as if the state had the least number of bytes
    }
  }
  return { header, start: reader.position };
}

function checkMagic(data) {
  if (ARCHIVE_MAGIC.every((byte, k) => data[k] === byte))
    refuse("an archive, and no .ddpm file: archives are not read here, take their images out with ddpmcodec");
  const magic = data.subarray(0, MAGIC.length);
  if (!magic.every((byte, k) => byte === MAGIC[k]))
    refuse(`not a ddpmcodec file: it starts with ${hex(magic)}, not ${hex(MAGIC)}; give a .ddpm file`);
}

function takeVersion(reader, header) {
  const byte = reader.byte();
  if (byte >> 6 !== VERSION) refuse(`format version ${byte >> 6} (this program reads ${VERSION}): a newer decoder is needed`);
  const kind = byte % CHECKED;
  header.mode = MODES[kind % MODES.length];
  header.stateBytes = 4 + Math.floor(kind / MODES.length);
  if (header.stateBytes > 8) refuse(`unknown colour mode ${kind}: it is damaged, or a newer decoder is needed`);
  return Boolean(byte & CHECKED);
}

function takeCoding(reader, header) {
  const byte = reader.byte();
  header.effort = byte >> 6;
  header.levels = LEVELS[(byte >> 4) & 3];
  if (header.levels === undefined) refuse("unknown noise levels: the data is damaged, or a newer decoder is needed");
  header.webp = Boolean(byte & STORED);
  if (header.webp && header.levels) refuse("the file stores a JPEG file, which this decoder does not read: encode its pixels (--pixels)");
  if (header.webp && byte & TILED) refuse("the header claims a WebP payload in tiles: the data is damaged");
  return byte & 15;
}

function takeSize(reader, header, square) {
  header.width = reader.varint();
  header.height = square ? header.width : reader.varint();
  if (header.width === header.height && !square)
    refuse(`the header says twice that a side has ${header.width} pixels: the data is damaged`);
  const { width, height } = header;
  if (!(width > 0 && height > 0 && width * height <= MAX_PIXELS))
    refuse(`the header claims ${width} x ${height} pixels (1 to ${MAX_PIXELS} pixels are possible)`);
  if (header.webp && Math.max(width, height) > MAX_WEBP_SIDE)
    refuse(`the header claims a WebP payload of ${width} x ${height} pixels (sides of 1 to ${MAX_WEBP_SIDE} are possible)`);
}

function takeMetadata(reader, header) {
  header.metadataLength = reader.varint();
  header.orientation = reader.byte();
  if (!(header.metadataLength >= 1 && header.metadataLength <= MAX_METADATA))
    refuse(`the header claims ${header.metadataLength} bytes of metadata (1 to ${MAX_METADATA} are possible)`);
  if (!(header.orientation >= 1 && header.orientation <= 8))
    refuse(`the header claims orientation ${header.orientation} (1 to 8 are possible)`);
}

function checkTiles(header) {
  const { tileWidth, tileHeight, width, height } = header;
  if (header.stateBytes > 4 && (header.webp || header.index))
    refuse(`the header claims a state of ${header.stateBytes} bytes, where there is none: the data is damaged`);
  const fits = tileWidth > 0 && tileHeight > 0 && tileWidth <= width && tileHeight <= height;
  if (!header.webp && !(fits && tileWidth * tileHeight <= MAX_TILE_PIXELS))
    refuse(
      `the header claims tiles of ${tileWidth} x ${tileHeight} pixels for an image of ${width} x ${height}` +
        ` (1 to ${MAX_TILE_PIXELS} pixels are possible)`,
    );
}

function takeIndex(reader, header) {
  const index = { tileWidth: reader.varint(), tileHeight: reader.varint(), segments: reader.varint() };
  header.index = index;
  checkTiles(header);
  const length = reader.varint();
  const chunks = header.tileCount * index.segments;
  if (!(index.segments >= 1 && index.segments <= 255 && chunks <= MAX_CHUNKS))
    refuse(`the header claims ${chunks} chunks, ${index.segments} of a tile: the data is damaged`);
  if (!(length >= 3 * chunks && length <= 7 * chunks))
    refuse(`the header claims an index of ${length} bytes for ${chunks} chunks: the data is damaged`);
  checkCrc(reader, reader.data.subarray(0, reader.position));
  reader.require(length + CRC16_BYTES);
  const entries = new Reader(reader.take(length), "the index");
  checkCrc(reader, entries.data);
  index.lengths = [];
  index.checks = new Uint16Array(chunks);
  try {
    for (let k = 0; k < chunks; k++) {
      index.lengths.push(entries.varint());
      index.checks[k] = entries.uint16();
    }
  } catch (error) {
    if (!(error instanceof TruncatedError)) throw error;
    refuse(`the index holds fewer than ${chunks} chunks: the data is damaged`);
  }
  if (entries.position !== length) refuse(`the index holds more than ${chunks} chunks: the data is damaged`);
  if (index.segments !== header.segments)
    refuse(
      `the header claims ${index.segments} segments, ${header.levels} noise levels have ${header.segments}:` +
        " it is damaged; get it again",
    );
}

function checkCrc(reader, covered) {
  if (reader.uint16() !== crc16(covered))
    refuse("the header is damaged: its checksum does not match; get the file again");
}
