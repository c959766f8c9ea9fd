// Waiting, for others to have their turn and for a signal; and bytes of whatever has bytes.

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

/** A plain Uint8Array of the same bytes. */
export function bytesOf(data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new TypeError("data must be an ArrayBuffer, or a view of one, as Uint8Array is");
}
