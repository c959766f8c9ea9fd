// rANS streams as bytes, and the lanes of a tile in chunks: docs/format.md, "Lanes", "Stream".

import { Reader, hex, joined } from "./bytes.js";
import { CorruptError, FormatError, TruncatedError } from "./errors.js";

export const LANES = 4;
const WORD_BYTES = 4;
const LEAST_STATE = 1n << 24n;
const MOST_STATE = (1n << 63n) - 1n;
const MOST_WORDS = 2 ** 22; // of a lane in a chunk: fewer hold everything that a tile may

/** A stream that may be cut behind its state: { state, words }. */
export function parseStream(data, stateBytes) {
  const reader = new Reader(data, "the state of a stream");
  const state = takeState(reader, stateBytes);
  return { state, words: wordsOf(data.subarray(stateBytes)) };
}

/** The words of all lanes of a chunk { data, length } of so many parts, as far as they are there, and in a tile's first
 * their states. */
export function parseChunk(chunk, isFirst, parts) {
  const reader = new Reader(chunk.data, "a chunk");
  const counts = [];
  const states = [];
  try {
    while (counts.length < LANES * parts - 1) counts.push(reader.varint());
    while (isFirst && states.length < LANES) states.push(takeState(reader, reader.byte()));
  } catch (error) {
    if (error instanceof TruncatedError && chunk.data.length < chunk.length) throw error;
    throw new CorruptError(`the lanes of a chunk do not fit into it (${error.message}): get the file again`);
  }
  const rest = (chunk.length - reader.position) / WORD_BYTES - counts.reduce((sum, count) => sum + count, 0);
  if (!Number.isInteger(rest) || rest < 0 || Math.max(rest, ...counts) >= MOST_WORDS)
    throw new CorruptError(`the lanes of a chunk of ${chunk.length} bytes do not fit into it: get the file again`);
  counts.push(rest);
  let words = wordsOf(chunk.data.subarray(reader.position));
  const dealtParts = Array.from({ length: parts }, (_, part) => {
    const ofPart = counts.slice(LANES * part, LANES * (part + 1));
    const count = ofPart.reduce((sum, own) => sum + own, 0);
    const lanes = dealt(words.subarray(0, count), ofPart);
    words = words.subarray(count);
    return lanes;
  });
  return { states, lanes: joinedLanes(dealtParts) };
}

/** The lanes of a tile, as far as its first chunks hold them; the last one may be cut. Where that makes no sense it is
 * left out, as it has no checksum that holds. */
export function joinLanes(chunks, parts) {
  const parsed = [parseChunk(chunks[0], true, parts[0])];
  for (const [place, chunk] of chunks.slice(1).entries()) {
    try {
      parsed.push(parseChunk(chunk, false, parts[place + 1]));
    } catch (error) {
      if (!(error instanceof FormatError) || chunk.data.length === chunk.length) throw error;
    }
  }
  const lanes = joinedLanes(parsed.map((own) => own.lanes));
  return parsed[0].states.map((state, lane) => ({ state, words: lanes[lane] }));
}

/** Words of all lanes, of one thing after the other. */
function joinedLanes(each) {
  return Array.from({ length: LANES }, (_, lane) => joined(each.map((lanes) => lanes[lane]), Uint32Array));
}

function takeState(reader, size) {
  if (!(size >= 4 && size <= 8)) throw new CorruptError(`a lane claims a state of ${size} bytes (4 to 8 are possible): get the file again`);
  const packed = reader.take(size);
  const state = packed.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  const isShort = size > 4 && packed[size - 1] === 0;
  if (state < LEAST_STATE || state > MOST_STATE || isShort)
    throw new CorruptError(`a stream begins with ${hex(packed)}, which is no state: get the file again`);
  return state;
}

/** Whole words; little-endian, as is every machine that has WebAssembly in a browser. */
function wordsOf(data) {
  return new Uint32Array(data.slice(0, data.length - (data.length % WORD_BYTES)).buffer);
}

/** Words lie in the order of their places: word i of the n of a lane has the place floor((2 i + 1) 2^31 / n). */
function dealt(words, counts) {
  const lanes = counts.map((count) => new Uint32Array(Math.min(count, words.length)));
  const next = counts.map((count) => placeOf(0, count));
  const taken = counts.map(() => 0);
  for (let k = 0; k < words.length; k++) {
    let lane = 0;
    for (let other = 1; other < LANES; other++) if (next[other] < next[lane]) lane = other;
    lanes[lane][taken[lane]++] = words[k];
    next[lane] = placeOf(taken[lane], counts[lane]);
  }
  return lanes.map((lane, k) => lane.subarray(0, taken[k]));
}

/** In numbers that doubles hold exactly: 2 i + 1 = q n + r. */
function placeOf(i, count) {
  if (i >= count) return Infinity;
  const odd = 2 * i + 1;
  const quotient = Math.floor(odd / count);
  return quotient * 2 ** 31 + Math.floor(((odd - quotient * count) * 2 ** 31) / count);
}
