// Previews while the bytes of a file arrive. See index.d.ts.

import { chunksOf } from "./arrivals.js";
import { Decoding } from "./decoding.js";
import { FormatError, TruncatedError } from "./errors.js";
import { bytesOf } from "./waiting.js";

export class ProgressiveDecoder {
  #options;
  #decoding = null;
  #waiting = []; // bytes that the decoder has not received
  #fed = 0;
  #last = Promise.resolve();
  #picture = null;
  size = null;
  complete = false;

  constructor(options = {}) {
    this.#options = options;
  }

  async feed(data) {
    const bytes = bytesOf(data).slice(); // which the caller may change while others are decoded
    return this.#inTurn(() => this.#feed(bytes));
  }

  async close() {
    return this.#inTurn(() => this.#close());
  }

  async cancel() {
    return this.#inTurn(() => this.#decoding?.decoder.free());
  }

  #inTurn(work) {
    const found = this.#last.then(work);
    this.#last = found.catch(() => {});
    return found;
  }

  async #feed(bytes) {
    if (this.complete && bytes.length) throw new FormatError(`${bytes.length} bytes follow the end of the image: cut them off`);
    if (this.complete) return null;
    this.#waiting.push(bytes);
    this.#fed += bytes.length;
    this.#decoding ??= await Decoding.begin(this.#options);
    for (const part of this.#waiting.splice(0)) this.#decoding.decoder.give("ddpm_decoder_feed", part);
    const isBetter = await this.#decoding.advance().finally(() => (this.size = this.#decoding.size));
    if (!isBetter) return null;
    this.#picture = this.#decoding.picture();
    this.complete = this.#decoding.isDone;
    if (this.complete) this.#decoding.decoder.free();
    return this.#picture;
  }

  async #close() {
    await this.#feed(new Uint8Array(0));
    if (this.complete) return this.#picture;
    throw new TruncatedError(`the data ends inside the ${this.size ? "image" : "header"}, after ${this.#fed} bytes: feed the rest`);
  }
}

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
