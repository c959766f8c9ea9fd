// Waiting: for others to have their turn, and for a signal.

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
