// Fields of bytes, and checksums: docs/format.md, "Conventions".

import { FormatError, TruncatedError } from "./errors.js";

const MAX_VARINT_BYTES = 5;

/** Reads bytes front to back. part: what the data is called in errors; least: bytes that are needed in any case. */
export class Reader {
  constructor(data, part = "the header", least = 0) {
    Object.assign(this, { data, part, least, position: 0 });
  }

  require(count) {
    const needed = this.position + count;
    if (needed > this.data.length) {
      throw new TruncatedError(
        `the data ends inside ${this.part}, after ${this.data.length} bytes: at least ${Math.max(needed, this.least)} are needed`,
      );
    }
  }

  take(count) {
    this.require(count);
    this.position += count;
    return this.data.subarray(this.position - count, this.position);
  }

  byte() {
    return this.take(1)[0];
  }

  uint16() {
    const [low, high] = this.take(2);
    return low | (high << 8);
  }

  /** LEB128, canonical, below 2^35. */
  varint() {
    let value = 0;
    for (let place = 0; place < MAX_VARINT_BYTES; place++) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** (7 * place);
      if (byte < 128) {
        if (byte === 0 && place > 0) break;
        return value;
      }
    }
    throw new FormatError(`a number before byte ${this.position} of ${this.part} is longer than it needs to be: the data is damaged`);
  }
}

/** A plain Uint8Array of the same bytes. */
export function bytesOf(data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new TypeError("data must be an ArrayBuffer, or a view of one, as Uint8Array is");
}

/** One array, of a kind, of all that several hold, one after the other. */
export function joined(parts, Kind) {
  const whole = new Kind(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function uint32(data, at) {
  return (data[at] | (data[at + 1] << 8) | (data[at + 2] << 16) | (data[at + 3] << 24)) >>> 0;
}

export function isEqual(a, b) {
  return a.length === b.length && a.every((value, k) => value === b[k]);
}

export function hex(data) {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** SHA-256 in hexadecimal digits; null where there is none, as on pages that no TLS protects. */
export async function sha256(data) {
  if (!globalThis.crypto?.subtle) return null;
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
}

function table(step) {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = step.first(byte);
    for (let bit = 0; bit < 8; bit++) value = step.next(value);
    return value;
  });
}

const CRC16 = table({ first: (byte) => byte << 8, next: (v) => ((v << 1) ^ (v & 0x8000 ? 0x1021 : 0)) & 0xffff });
const CRC32 = table({ first: (byte) => byte, next: (v) => (v >>> 1) ^ (v & 1 ? 0xedb88320 : 0) });

/** CRC-16/CCITT from 0xFFFF. */
export function crc16(data) {
  let value = 0xffff;
  for (let k = 0; k < data.length; k++) value = ((value << 8) & 0xffff) ^ CRC16[(value >> 8) ^ data[k]];
  return value;
}

/** zlib's CRC-32; `before` is that of what comes in front. */
export function crc32(data, before = 0) {
  let value = ~before;
  for (let k = 0; k < data.length; k++) value = (value >>> 8) ^ CRC32[(value ^ data[k]) & 255];
  return ~value >>> 0;
}
