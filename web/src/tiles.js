// Workers that decode tiles of a file. Where there are none, as in Node.js, or a page forbids them, one thread decodes all.

import { urlOf } from "./folder.js";

export class TileWorkers {
  #workers = [];
  #wake = () => {};

  /** count: of workers, which get the bytes of the file. */
  constructor(count, data, { base, model, maxPixels }) {
    try {
      while (this.#workers.length < count) {
        const worker = new Worker(urlOf("tile-worker.js", base), { type: "module" });
        this.#workers.push(worker);
        worker.postMessage({ data, options: { base: urlOf("", base).href, model, maxPixels } });
        worker.onmessage = () => (worker.isReady = true);
        worker.onerror = (event) => event.preventDefault(); // it never is
      }
    } catch {} // the browser has no workers, or none for this folder
  }

  /** Gives a tile to each worker that has none. */
  give(decoding) {
    for (const worker of this.#workers) {
      const box = worker.isReady && decoding.call("web_delegate").box;
      if (!box) continue;
      worker.isReady = false;
      worker.postMessage({ box });
      const take = (pixels) => {
        decoding.call("web_set_delegated", box.left, box.top, box.width, box.height, pixels);
        worker.isReady = pixels.length > 0;
        this.#wake();
      };
      worker.onmessage = ({ data }) => take(data);
      worker.onerror = (event) => (event.preventDefault(), take(new Uint8Array(0)));
    }
  }

  /** Waits for pixels. */
  next() {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  end() {
    for (const worker of this.#workers) (worker.terminate(), (worker.onmessage = worker.onerror = null));
  }
}
