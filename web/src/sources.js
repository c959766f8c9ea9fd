// The bytes of a source as they arrive, whatever it is; and waiting, for them or for others to have their turn.

import { DdpmError } from "./errors.js";

/** Lists of chunks. Of a stream, all that have arrived together: a preview of fewer would be out of date once it is made. */
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
    for (let read = await next(); !read.done; read = await (coming ?? next())) {
      const chunks = [bytesOf(read.value)];
      coming = undefined;
      while (!reader.isIterable && (read = await Promise.race([next(), rest()])) && !read.done) chunks.push(bytesOf(read.value));
      yield chunks;
    }
  } finally {
    Promise.resolve(reader.cancel()).catch(() => {}); // not awaited: whoever aborts does not wait for a chunk
  }
}

/** An iterable as if it were the reader of a stream. */
function readerOf(source) {
  const iterator = source?.[Symbol.asyncIterator]?.() ?? source?.[Symbol.iterator]?.();
  if (!iterator) throw new TypeError("the source must be a Response, a Blob, a stream, bytes, or an iterable of chunks of bytes");
  return { read: () => iterator.next(), cancel: () => iterator.return?.(), isIterable: true };
}

function streamOf(source) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return [source];
  if (typeof source?.stream === "function") return source.stream(); // a Blob
  if (source?.ok === false) throw new DdpmError(`${source.url}: the file cannot be fetched (HTTP ${source.status})`);
  return source?.body === null ? [] : (source?.body ?? source);
}

/** A plain Uint8Array of the same bytes. */
export function bytesOf(data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new TypeError("data must be an ArrayBuffer, or a view of one, as Uint8Array is");
}

/** Timers, messages and frames get their turn. After `scheduler.yield()` Chromium comes back before any of them. */
export function rest() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), resolve());
    port2.postMessage(null);
  });
}

/** What a promise gives. Rejects with the signal's reason if that comes first; the promise goes on, for others to use. */
export function unlessAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort);
  });
}
