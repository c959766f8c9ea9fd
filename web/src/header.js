// Header and index of a .ddpm file: docs/format.md, "Header", "Tiles and index".

import { Reader, crc16, hex } from "./bytes.js";
import { FormatError, TruncatedError } from "./errors.js";

const MAGIC = [0xdd, 0x0a];
const ARCHIVE_MAGIC = [0xdd, 0x41, 0x0d, 0x0a];
const VERSION = 1;
const SQUARE = 8; // flags in the byte of the version
const TILED = 16;
const SECTIONS = 32;
const EXTENDED = 8; // flag in the byte of effort and levels
const WEBP = 1; // kinds of the payload
const LAST_KIND = 3;
const SAMPLE_BITS = 8;
const ALPHA = 0x81; // tags of sections
const METADATA = 0x42;
const TYPE = 63; // parts of a tag
const AFTER = 64;
const CRITICAL = 128;
const MODES = ["L", "RGB", "LA", "RGBA", "1"];
const LEVELS = [0, 2, 5];
const SMALLEST_HEADER = 7;
const CRC16_BYTES = 2;
const LEAST_STATE_BYTES = 4;
const STATE_SIZES = 5; // a state has 4 to 8 bytes
const WORD_BYTES = 4;
const NEWER = "the data is damaged, or a newer decoder is needed";

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
  skippedBefore = 0; // bytes of sections of unknown types before the payload
  skippedAfter = 0; // and after it
  payloadLength = 0;
  stateBytes = LEAST_STATE_BYTES; // of a single stream
  index = null; // of a tiled file: tileWidth, tileHeight, lengths, checks
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

  /** Bytes of the sections before the payload. */
  get lengthsBefore() {
    return this.alphaLength + this.skippedBefore;
  }

  /** Bytes of the sections after the payload. */
  get lengthsAfter() {
    return this.metadataLength + this.skippedAfter;
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
  const flags = takeVersion(reader, header);
  takeCoding(reader, header);
  if (header.webp && flags & TILED) refuse("the header claims a WebP payload in tiles: the data is damaged");
  if (!header.webp) {
    header.modelNumber = reader.byte();
    header.modelId = header.modelNumber ? "" : hex(reader.take(4));
  }
  takeSize(reader, header, flags & SQUARE);
  header.meanColour = header.webp ? reader.take(header.channels).slice() : new Uint8Array(0);
  if (flags & SECTIONS) takeSections(reader, header);
  if (header.hasAlphaSection !== header.alphaLength > 0)
    refuse(`the header claims mode ${header.mode}, and an alpha section of ${header.alphaLength} bytes: the data is damaged`);
  const isPlain = !(header.webp || flags & (TILED | SECTIONS));
  if (flags & TILED) {
    takeIndex(reader, header);
  } else {
    checkTiles(header);
    if (isPlain) header.covered = data.slice(0, reader.position);
    takePayload(reader, header);
    if (!isPlain) checkCrc(reader, data.subarray(0, reader.position));
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
  header.mode = MODES[byte & 7];
  if (!header.mode) refuse(`unknown colour mode ${byte & 7}: ${NEWER}`);
  return byte & (SQUARE | TILED | SECTIONS);
}

function takeCoding(reader, header) {
  const byte = reader.byte();
  header.effort = byte >> 4;
  header.levels = byte & 7;
  if (byte & EXTENDED) takeKind(reader, header);
  const isPossible = header.webp ? !header.effort && !header.levels : header.effort >= 1 && header.effort <= 3 && LEVELS.includes(header.levels);
  if (!isPossible) refuse(`the header claims effort ${header.effort} and ${header.levels} noise levels: ${NEWER}`);
}

function takeKind(reader, header) {
  const byte = reader.byte();
  const [kind, bits] = [byte & 15, (byte >> 4) + 1];
  if (kind > LAST_KIND || bits !== SAMPLE_BITS) refuse(`unknown payload ${kind} of ${bits} bits a sample: ${NEWER}`);
  if (!kind) refuse(`the header states ${bits} bits a sample, which it should leave out: the data is damaged`);
  if (kind !== WEBP) refuse("the file stores a JPEG file, which this decoder does not read: encode its pixels (--pixels)");
  header.webp = true;
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

/** Orientation, and the lengths of sections. */
function takeSections(reader, header) {
  header.orientation = reader.byte();
  if (!(header.orientation >= 1 && header.orientation <= 8))
    refuse(`the header claims orientation ${header.orientation} (1 to 8 are possible)`);
  let last = 0;
  for (let tag = reader.byte(); tag; tag = reader.byte()) {
    const length = reader.varint();
    if (!((tag & TYPE) > last) || !length) refuse(`a section of type ${tag & TYPE} is empty or out of order: the data is damaged`);
    last = tag & TYPE;
    takeSection(header, tag, length);
  }
  if (!last) refuse("the header lists no sections: the data is damaged");
  if (header.metadataLength > MAX_METADATA)
    refuse(`the header claims ${header.metadataLength} bytes of metadata (1 to ${MAX_METADATA} are possible)`);
}

function takeSection(header, tag, length) {
  const isKnown = [ALPHA, METADATA].some((known) => (known & TYPE) === (tag & TYPE));
  if (tag === ALPHA) header.alphaLength = length;
  else if (tag === METADATA) header.metadataLength = length;
  else if (isKnown || tag & CRITICAL) refuse(`unknown section ${tag}: ${NEWER}`);
  else if (tag & AFTER) header.skippedAfter += length;
  else header.skippedBefore += length;
}

/** The size of a payload without an index. */
function takePayload(reader, header) {
  const size = reader.varint();
  if (header.webp) {
    header.payloadLength = size;
  } else {
    header.stateBytes = LEAST_STATE_BYTES + (size % STATE_SIZES);
    header.payloadLength = header.stateBytes + WORD_BYTES * Math.floor(size / STATE_SIZES);
  }
}

function checkTiles(header) {
  const { tileWidth, tileHeight, width, height } = header;
  const fits = tileWidth > 0 && tileHeight > 0 && tileWidth <= width && tileHeight <= height;
  if (!header.webp && !(fits && tileWidth * tileHeight <= MAX_TILE_PIXELS))
    refuse(
      `the header claims tiles of ${tileWidth} x ${tileHeight} pixels for an image of ${width} x ${height}` +
        ` (1 to ${MAX_TILE_PIXELS} pixels are possible)`,
    );
}

function takeIndex(reader, header) {
  const index = { tileWidth: reader.varint(), tileHeight: reader.varint() };
  header.index = index;
  checkTiles(header);
  const length = reader.varint();
  const chunks = header.tileCount * header.segments;
  if (chunks > MAX_CHUNKS) refuse(`the header claims ${chunks} chunks (1 to ${MAX_CHUNKS} are possible)`);
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
}

function checkCrc(reader, covered) {
  if (reader.uint16() !== crc16(covered))
    refuse("the header is damaged: its checksum does not match; get the file again");
}
