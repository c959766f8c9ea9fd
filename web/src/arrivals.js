// The bytes of a source as they arrive, whatever it is.

import { DdpmError } from "./errors.js";
import { bytesOf, rest, unlessAborted } from "./waiting.js";

/** Chunks. Of a stream, all that have arrived together: a preview of fewer would be out of date once it is made. */
export async function* chunksOf(source, signal) {
  const stream = streamOf(source);
  const reader = stream?.getReader?.() ?? readerOf(stream); // Safari's streams are no iterables
  let coming;
  const next = () => {
    coming = unlessAborted(Promise.resolve(reader.read()), signal);
    coming.catch(() => {}); // whoever awaits it sees it
    return coming;
  };
  try {
    for (let read = await next(); !read.done; read = await coming) {
      const parts = [bytesOf(read.value)];
      while (next() && reader.isStream !== false && (read = await Promise.race([coming, rest()])) && !read.done) parts.push(bytesOf(read.value));
      yield parts.length > 1 ? new Uint8Array(await new Blob(parts).arrayBuffer()) : parts[0];
    }
  } finally {
    Promise.resolve(reader.cancel()).catch(() => {}); // not awaited: whoever aborts does not wait for a chunk
  }
}

/** An iterable as if it were the reader of a stream. */
function readerOf(source) {
  const iterator = source?.[Symbol.asyncIterator]?.() ?? source?.[Symbol.iterator]?.();
  if (!iterator) throw new TypeError("the source must be a Response, a Blob, a stream, bytes, or an iterable of chunks of bytes");
  return { read: () => iterator.next(), cancel: () => iterator.return?.(), isStream: false };
}

function streamOf(source) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return [source];
  if (typeof source?.stream === "function") return source.stream(); // a Blob
  if (source?.ok === false) throw new DdpmError(`${source.url}: the file cannot be fetched (HTTP ${source.status})`);
  return source?.body === null ? [] : (source?.body ?? source);
}
