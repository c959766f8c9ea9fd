// Previews while the bytes of a file arrive: `codec/stream_decoder.py`.
//
// Of a tiled file every segment is decoded once, when the last tile's chunk of it is there. A single stream, which belongs
// to a small image, is decoded anew whenever there are twice as many bytes, and at its end.

import { chunksOf } from "./arrivals.js";
import { bytesOf } from "./bytes.js";
import { Codec } from "./codec.js";
import { DAMAGED, decodeBytes, pictureOf, soundPixels } from "./decode.js";
import { ChecksumError, CorruptError, FormatError, TruncatedError } from "./errors.js";
import { begunMark } from "./file.js";
import { parseHeader } from "./header.js";
import { sideSections } from "./sections.js";
import { parseChunk } from "./streams.js";

const FIRST_BYTES = 32; // of a single stream that are worth a preview

/** Takes the bytes of one file as they arrive, and gives previews. See index.d.ts. */
export class ProgressiveDecoder {
  #codec;
  #buffer = new Uint8Array(1 << 12);
  #size = 0;
  #header = null;
  #source = null;
  #picture = null;
  #last = Promise.resolve();

  constructor(options = {}) {
    this.#codec = new Codec(options);
  }

  /** { width, height }, once the header is there; null before. */
  get size() {
    return this.#header && { width: this.#header.width, height: this.#header.height };
  }

  /** Whether all of the file has come, and is exactly what was encoded; or as much as there is of a lossy one. */
  get complete() {
    return this.#picture !== null && (this.#picture.exact || this.#picture.lossy);
  }

  /** Takes the bytes that follow: a better picture, or null where there is none yet. One call after the other. */
  async feed(data) {
    const bytes = bytesOf(data).slice(); // which the caller may change while others are decoded
    return this.#inTurn(() => this.#feed(bytes));
  }

  /** The image, once all of it was fed. Throws TruncatedError before. */
  async close() {
    return this.#inTurn(() => this.#close());
  }

  /** Frees memory of a file that is not decoded to its end. */
  async cancel() {
    return this.#inTurn(() => this.#free());
  }

  #inTurn(work) {
    const found = this.#last.then(work);
    this.#last = found.catch(() => {});
    return found;
  }

  async #close() {
    this.#free();
    if (!this.complete) this.#picture = await decodeBytes(this.#codec, this.#data, false);
    return this.#picture;
  }

  #free() {
    this.#source?.free();
    this.#source = null; // bytes that follow nevertheless make a new one
  }

  get #data() {
    return this.#buffer.subarray(0, this.#size);
  }

  #append(bytes) {
    if (this.#size + bytes.length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(2 * this.#buffer.length, this.#size + bytes.length));
      larger.set(this.#data);
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#size);
    this.#size += bytes.length;
  }

  async #feed(bytes) {
    this.#codec.signal?.throwIfAborted();
    if (this.complete && bytes.length) throw new FormatError(`${bytes.length} bytes follow the end of the image: cut them off`);
    if (this.complete) return null;
    this.#append(bytes);
    if (!this.#source && !(await this.#begin())) return null;
    const file = this.#codec.open(this.#data);
    if (file.size < this.#source.wanted && !file.isLossy) return null;
    this.#picture = await this.#source.decode(file, this.#data);
    if (this.complete) this.#free();
    return this.#picture;
  }

  async #begin() {
    try {
      const { header, start } = parseHeader(this.#data);
      this.#codec.checkPixels(header);
      this.#header = header;
      const make = header.index ? Tiled.make : Single.make;
      this.#source = await make(this.#codec, header, start);
      return true;
    } catch (error) {
      if (error instanceof TruncatedError) return false;
      throw error;
    }
  }
}

/** Pictures of what arrives (a Response of `fetch`, its body, or any iterable of chunks), each better than the last. */
export async function* decodeStream(source, options = {}) {
  const decoder = new ProgressiveDecoder(options);
  try {
    for await (const chunk of chunksOf(source, options.signal)) {
      const picture = await decoder.feed(chunk);
      if (picture) yield picture;
    }
    const isShown = decoder.complete;
    const image = await decoder.close();
    if (!isShown) yield image;
  } finally {
    await decoder.cancel();
  }
}

/** A file of one stream, or of WebP. */
class Single {
  static make(codec, header, start) {
    const single = new Single();
    const payload = start + header.lengthsBefore;
    Object.assign(single, { header, start, codec });
    single.whole = payload + header.payloadLength + header.lengthsAfter;
    single.wanted = header.webp ? start : Math.min(payload + FIRST_BYTES, single.whole);
    return single;
  }

  async decode(file, data) {
    const { header } = this;
    this.wanted = header.webp ? this.whole : Math.min(2 * file.size, this.whole);
    let picture = await decodeBytes(this.codec, data, file.missing > 0); // or lossy
    const begun = picture.damaged ? begunMark(data) : 0;
    if (begun && data.length - begun >= this.start) {
      this.wanted = data.length + 1; // the rest of the mark, which was decoded as words of the stream
      picture = await decodeBytes(this.codec, data.subarray(0, data.length - begun), true);
    }
    if (picture.damaged) throw new ChecksumError(DAMAGED);
    return picture;
  }

  free() {}
}

/** A file of chunks. */
class Tiled {
  static async make(codec, header, start) {
    const tiled = new Tiled();
    const [core, model] = [await codec.core(), await codec.modelOf(header)];
    Object.assign(tiled, { codec, header, core, model, tiles: [], done: 0 });
    tiled.ends = [];
    let end = start + header.lengthsBefore;
    header.chunkLengths.forEach((length, k) => {
      end += length;
      if ((k + 1) % header.tileCount === 0) tiled.ends.push(end);
    });
    tiled.whole = end + header.lengthsAfter;
    tiled.wanted = tiled.ends[0];
    tiled.canvas = core.canvas(header);
    return tiled;
  }

  async decode(file, data) {
    const { codec, core, header } = this;
    if (file.isLossy) return decodeBytes(codec, data, false); // with what there is of a segment
    const arrived = this.ends.filter((end) => end <= file.size).length;
    this.wanted = this.ends[arrived] ?? this.whole;
    const sound = this.#sound(file, arrived);
    if (sound < arrived) {
      if (!begunMark(data)) throw new ChecksumError(DAMAGED);
      this.wanted = file.size + 1; // which says more
    }
    for (let tile = 0; tile < header.tileCount && this.done < sound; tile++) await this.#advance(file, tile, sound);
    this.done = sound;
    const colour = core.shown(this.canvas, header);
    const side = sideSections(core, file, file.missing > 0);
    return pictureOf(file, colour, side, { exact: !file.missing, damaged: side.damaged, stepsDone: header.stepsDone(sound) });
  }

  /** How many of the segments that arrived are undamaged in all tiles. */
  #sound(file, arrived) {
    for (let place = this.done * this.header.tileCount; place < arrived * this.header.tileCount; place++)
      if (file.isDamaged(place)) return Math.floor(place / this.header.tileCount);
    return arrived;
  }

  async #advance(file, number, segments) {
    const { codec, core, header } = this;
    const box = header.box(number);
    this.#take(file, number, segments, box);
    const { pass } = this.tiles[number];
    await core.advance(pass, box, segments, codec.signal);
    if (core.hasEnded(pass) || (core.isExact(pass) && !soundPixels(core, pass, box, header))) throw new ChecksumError(DAMAGED);
    core.place(this.canvas, box, pass);
    if (core.isExact(pass)) this.#drop(number);
  }

  /** The words of the segments that arrived. */
  #take(file, number, segments, box) {
    const { core, header, model } = this;
    for (let segment = this.tiles[number]?.segments ?? 0; segment < segments; segment++) {
      const place = file.place(number, segment);
      const chunk = { data: file.chunks[place], length: header.chunkLengths[place] };
      const { states, lanes } = this.#parsed(chunk, segment === 0, header.parts[segment]);
      if (segment === 0) {
        const streams = states.map((state, lane) => ({ state, words: lanes[lane] }));
        this.tiles[number] = { pass: core.begin(model, header, box, streams, { forPreviews: true }) };
      } else {
        core.extend(this.tiles[number].pass, lanes);
      }
      this.tiles[number].segments = segment + 1;
    }
  }

  #parsed(chunk, isFirst, parts) {
    try {
      return parseChunk(chunk, isFirst, parts);
    } catch (error) {
      if (error instanceof CorruptError) throw new ChecksumError(DAMAGED);
      throw error;
    }
  }

  /** An exact tile is on the canvas; its pass takes fifty bytes a pixel. */
  #drop(number) {
    this.core.free(this.tiles[number].pass);
    this.tiles[number].pass = 0;
  }

  free() {
    this.tiles.forEach((_, number) => this.#drop(number));
    this.core.freeCanvas(this.canvas);
    this.canvas = 0;
    this.tiles = [];
  }
}
