// Whole files, and prefixes, to pictures: `codec/decoder.py`.

import { bytesOf, crc32 } from "./bytes.js";
import { Codec } from "./codec.js";
import { ChecksumError, FormatError, TruncatedError } from "./errors.js";
import { REST } from "./file.js";
import { opaque, sideSections, unpackWebP } from "./sections.js";
import { joinLanes, parseStream } from "./streams.js";

export const DAMAGED = "the data is damaged: it decodes to another image than was encoded; get the file again";

/** The image of a file; with `partial` or `maxBytes` what a prefix shows. See index.d.ts. */
export async function decode(data, options = {}) {
  const codec = new Codec(options);
  const whole = bytesOf(data);
  const some = options.maxBytes === undefined ? whole : whole.subarray(0, options.maxBytes);
  return decodeBytes(codec, some, options.partial || options.maxBytes !== undefined);
}

/** partial: any prefix will do. */
export async function decodeBytes(codec, data, partial) {
  codec.signal?.throwIfAborted();
  const file = codec.open(data);
  const isWhole = !partial && !file.isLossy;
  if (isWhole) file.requireWhole(); // before anything is fetched
  const core = await codec.core();
  if (isWhole) return wholeImage(codec, core, file);
  const picture = await preview(codec, core, file);
  if (picture.damaged && !partial) throw new ChecksumError(DAMAGED); // before it was marked as lossy
  return picture;
}

async function wholeImage(codec, core, file) {
  const { header } = file;
  const side = sideSections(core, file, false); // before the networks run: damage is reported at once
  const facts = { exact: true, stepsDone: header.steps };
  if (header.webp) {
    const { colour, alpha } = await unpackWebP(file.chunks[0], header, codec.webp);
    return pictureOf(file, colour, { ...side, alpha }, facts);
  }
  const model = await codec.modelOf(header);
  const colour = new Uint8Array(header.width * header.height * header.channels);
  for (let tile = 0; tile < header.tileCount; tile++) {
    const box = header.box(tile);
    const pass = core.begin(model, header, box, streamsOf(file, tile));
    try {
      await core.advance(pass, box, header.segments, codec.signal);
      const pixels = soundPixels(core, pass, box, header);
      if (!pixels) throw new ChecksumError(DAMAGED);
      paste(pixels, box, colour, header);
    } finally {
      core.free(pass);
    }
  }
  return pictureOf(file, colour, side, facts);
}

/** A file as far as it is there. */
async function preview(codec, core, file) {
  const { header } = file;
  const side = sideSections(core, file, true);
  if (header.webp) return previewWebP(codec, file, side);
  const model = await codec.modelOf(header);
  const canvas = core.canvas(header);
  let [exact, damaged, stepsDone] = [true, side.damaged, header.steps];
  try {
    for (let tile = 0; tile < header.tileCount; tile++) {
      const found = await previewTile(codec, core, model, file, tile, canvas);
      const isAllThere = !file.tileIsCut(tile) && !file.tileIsDamaged(tile);
      exact &&= found.exact;
      damaged ||= found.damaged || file.tileIsDamaged(tile) || (!found.exact && isAllThere);
      stepsDone = Math.min(stepsDone, header.stepsDone(found.segments));
    }
    const colour = core.shown(canvas, header);
    const isWhole = exact && !damaged && !file.missing;
    return pictureOf(file, colour, side, { exact: isWhole, damaged, stepsDone });
  } finally {
    core.freeCanvas(canvas);
  }
}

async function previewTile(codec, core, model, file, tile, canvas) {
  const { header } = file;
  const box = header.box(tile);
  let streams;
  try {
    streams = streamsOf(file, tile);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { exact: false, damaged: false, segments: 0 }; // it has not begun, or nothing of it makes sense
  }
  const isCut = file.tileIsCut(tile) || file.tileIsDamaged(tile);
  const pass = core.begin(model, header, box, streams, { forPreviews: true, isCut });
  try {
    const segments = await core.advance(pass, box, header.segments, codec.signal);
    const exact = soundPixels(core, pass, box, header) !== null;
    core.place(canvas, box, pass);
    return { exact, damaged: core.isExact(pass) && !exact, segments };
  } finally {
    core.free(pass);
  }
}

async function previewWebP(codec, file, side) {
  const { header } = file;
  const facts = { exact: false, damaged: side.damaged, stepsDone: 0 };
  if (file.chunks[0].length === header.payloadLength) {
    try {
      const { colour, alpha } = await unpackWebP(file.chunks[0], header, codec.webp);
      return pictureOf(file, colour, { ...side, alpha }, { ...facts, exact: !file.missing && !side.damaged, stepsDone: 1 });
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      facts.damaged = true;
    }
  }
  return flatWebP(file, side, facts);
}

function flatWebP(file, side, facts) {
  const { header } = file;
  const colour = new Uint8Array(header.width * header.height * header.channels);
  for (let k = 0; k < colour.length; k++) colour[k] = header.meanColour[k % header.channels];
  return pictureOf(file, colour, { ...side, alpha: header.hasAlpha ? opaque(header) : null }, facts);
}

/** Of a tile its only stream, or its lanes, as far as they are there. */
export function streamsOf(file, tile) {
  const { header } = file;
  if (!header.index) return [parseStream(file.chunks[0], header.stateBytes)];
  const chunks = file.tileChunks(tile);
  if (!chunks.length) throw new TruncatedError(`tile ${tile + 1} has not begun: ${REST}`);
  return joinLanes(chunks, header.parts);
}

/** A tile's colour samples, if they are exact and their check holds; else null. */
export function soundPixels(core, pass, box, header) {
  if (!core.isExact(pass)) return null;
  const pixels = core.pixels(pass, box, header.channels);
  return core.agrees(pass, crc32(pixels, crc32(header.covered)) & 0xffffff) ? pixels : null;
}

function paste(pixels, box, colour, header) {
  const size = box.width * header.channels;
  for (let y = 0; y < box.height; y++)
    colour.set(pixels.subarray(y * size, (y + 1) * size), ((box.top + y) * header.width + box.left) * header.channels);
}

/** What callers get: colour and alpha interleaved. */
export function pictureOf(file, colour, side, { exact, damaged = false, stepsDone }) {
  const { header } = file;
  const { mode, width, height, steps, orientation, channels } = header;
  const data = header.hasAlpha ? interleaved(colour, side.alpha, channels) : colour;
  return {
    width, height, channels: channels + Number(header.hasAlpha), data, mode, exact, lossy: file.isLossy, damaged,
    stepsDone, steps, orientation, icc: side.icc, exif: side.exif, xmp: side.xmp,
  }; // prettier-ignore
}

function interleaved(colour, alpha, channels) {
  const found = new Uint8Array(colour.length + alpha.length);
  for (let k = 0, at = 0; k < alpha.length; k++) {
    for (let c = 0; c < channels; c++) found[at++] = colour[k * channels + c];
    found[at++] = alpha[k];
  }
  return found;
}

