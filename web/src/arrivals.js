// The bytes of a source as they arrive, whatever it is.

import { DdpmError } from "./errors.js";
import { bytesOf, rest, unlessAborted } from "./waiting.js";

/** Chunks. Of a stream, all that have arrived together: a preview of fewer would be out of date once it is made. */
export async function* chunksOf(source, signal) {
  const { next, stop, isStream } = opened(source);
  const waited = async () => unlessAborted(Promise.resolve(next()), signal);
  try {
    yield* isStream ? together(waited) : oneByOne(waited);
  } finally {
    Promise.resolve().then(stop).catch(() => {}); // not awaited: whoever aborts does not wait for a chunk
  }
}

async function* oneByOne(next) {
  for (;;) {
    const { done, value } = await next();
    if (done) return;
    yield value;
  }
}

async function* together(next) {
  for (let coming = next(); ; ) {
    const { done, value } = await coming;
    if (done) return;
    const parts = [bytesOf(value)];
    for (;;) {
      coming = next();
      coming.catch(() => {}); // whoever awaits it sees it
      const arrived = await Promise.race([coming, rest()]);
      if (!arrived || arrived.done) break;
      parts.push(bytesOf(arrived.value));
    }
    yield new Uint8Array(await new Blob(parts).arrayBuffer());
  }
}

/** { next, stop, isStream } of a source: `next` gives what iterators do, and `stop` says that nothing more is wanted. */
function opened(source) {
  const stream = streamOf(source);
  if (typeof stream?.getReader === "function") {
    const reader = stream.getReader(); // Safari's streams are no iterables
    return { next: () => reader.read(), stop: () => reader.cancel(), isStream: true };
  }
  const iterator = stream?.[Symbol.asyncIterator]?.() ?? stream?.[Symbol.iterator]?.();
  if (!iterator) throw new TypeError("the source must be a Response, a Blob, a stream, bytes, or an iterable of chunks of bytes");
  return { next: () => iterator.next(), stop: () => iterator.return?.(), isStream: false };
}

function streamOf(source) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return [source];
  if (typeof source?.stream === "function") return source.stream(); // a Blob
  if (source?.ok === false) throw new DdpmError(`${source.url}: the file cannot be fetched (HTTP ${source.status})`);
  return source?.body === null ? [] : (source?.body ?? source);
}
