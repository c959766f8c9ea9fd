// A .ddpm file, or a prefix of one, cut into its parts; and its end mark: docs/format.md, "Cutting a file", "End mark".

import { crc16, crc32, uint32 } from "./bytes.js";
import { ChecksumError, FormatError, TruncatedError } from "./errors.js";
import { parseHeader } from "./header.js";

const MARK = [0xdd, 0x45];
const MARK_BYTES = 6;
export const REST = "get the rest, or decode a preview with partial";

/** In a prefix the last part that it reaches is short, and later ones are empty. */
export class File {
  #sound = new Map(); // chunks that are all there -> whether their CRC holds

  /** data: that holds the header. Throws what parseHeader throws, and FormatError where bytes follow the end. */
  constructor(data) {
    const { header, start } = parseHeader(data);
    this.header = header;
    this.start = start;
    const before = [header.alphaLength, header.skippedBefore];
    const lengths = [...before, ...header.chunkLengths, header.metadataLength, header.skippedAfter];
    const end = start + lengths.reduce((sum, length) => sum + length, 0);
    const front = data.length < end ? withoutEndMark(data) : null;
    this.isLossy = front !== null && front.length >= start; // an end mark says that the data end here on purpose
    if (this.isLossy) data = front;
    this.size = data.length;
    this.missing = end - data.length;
    if (this.missing < 0) throw new FormatError(`${-this.missing} bytes follow the end of the image (at byte ${end}): cut them off`);
    let position = start;
    const parts = lengths.map((length) => data.subarray(position, (position += length)));
    this.alpha = parts[0];
    this.metadata = parts[parts.length - 2];
    this.chunks = parts.slice(before.length, -2); // the payload, or one chunk per (segment, tile), segment-major
  }

  /** Where a tile's chunk is among all. */
  place(tile, segment) {
    return segment * this.header.tileCount + tile;
  }

  isShort(place) {
    return this.chunks[place].length < this.header.chunkLengths[place];
  }

  isDamaged(place) {
    if (!this.header.index || this.isShort(place)) return false;
    if (!this.#sound.has(place)) this.#sound.set(place, crc16(this.chunks[place]) === this.header.index.checks[place]);
    return !this.#sound.get(place);
  }

  /** A tile's number of whole, undamaged segments in front. */
  segmentsOfTile(tile) {
    let segment = 0;
    for (let place = tile; place < this.chunks.length; place += this.header.tileCount, segment++)
      if (this.isShort(place) || this.isDamaged(place)) break;
    return segment;
  }

  tileIsDamaged(tile) {
    const place = this.place(tile, this.segmentsOfTile(tile));
    return place < this.chunks.length && this.isDamaged(place);
  }

  tileIsCut(tile) {
    const place = this.place(tile, this.segmentsOfTile(tile));
    return place < this.chunks.length && this.isShort(place);
  }

  /** Its whole, undamaged chunks in front of the first other one; if that is cut, its beginning, too. */
  tileChunks(tile) {
    const found = [];
    for (let place = tile; place < this.chunks.length; place += this.header.tileCount) {
      if (this.isDamaged(place) || !this.chunks[place].length) break;
      found.push({ data: this.chunks[place], length: this.header.chunkLengths[place] });
      if (this.isShort(place)) break;
    }
    return found;
  }

  /** Throws TruncatedError where bytes are missing, ChecksumError where a chunk is damaged. */
  requireWhole() {
    if (this.missing) throw new TruncatedError(`the file ends after ${this.size} of ${this.size + this.missing} bytes: ${REST}`);
    const damaged = [...Array(this.header.tileCount).keys()].filter((tile) => this.tileIsDamaged(tile));
    if (damaged.length)
      throw new ChecksumError(
        `${damaged.length} of ${this.header.tileCount} tiles are damaged: a checksum does not match;` +
          " get the file again, or decode a preview with partial",
      );
  }
}

/** The data in front of a mark; null where there is none that fits them. */
export function withoutEndMark(data) {
  const end = data.length - MARK_BYTES;
  if (end < 0 || data[end] !== MARK[0] || data[end + 1] !== MARK[1]) return null;
  const front = data.subarray(0, end);
  return crc32(front) === uint32(data, end + MARK.length) ? front : null;
}

/** How many bytes at the end of data are the beginning of a mark that fits what is in front of them; 0 for none. */
export function begunMark(data) {
  for (let size = Math.min(MARK_BYTES - 1, data.length); size > 0; size--) {
    const end = data.length - size;
    if (data[end] !== MARK[0] || (size > 1 && data[end + 1] !== MARK[1])) continue;
    const check = size > MARK.length ? crc32(data.subarray(0, end)) : 0;
    let fits = true;
    for (let k = MARK.length; k < size; k++) fits &&= data[end + k] === ((check >>> (8 * (k - MARK.length))) & 255);
    if (fits) return size;
  }
  return 0;
}
