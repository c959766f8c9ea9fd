// The decoding of one file: it runs the core's decoder, and gives it what it asks for.

import { Decoder } from "./core.js";
import { FormatError, ImageError, ModelError } from "./errors.js";
import { folderOf } from "./folder.js";
import { storedPixels } from "./stored.js";
import { bytesOf, rest, unlessAborted } from "./waiting.js";

const MAX_PIXELS = 2 ** 26; // as Python's default
const SLICE = 0.05; // seconds after which the page gets its turn
const MODES = ["L", "RGB", "LA", "RGBA", "1"];
const KINDS = ["pixels", "webp", "jpeg", "coefficients"];

export class Decoding {
  #options;
  #folder;
  #core;
  #decoder;
  #isBetter = false; // than the last picture
  isDone = false;

  /** options: of index.d.ts. partial: any prefix will do. */
  static async begin(options = {}, partial = false) {
    const own = new Decoding();
    own.#options = options;
    options.signal?.throwIfAborted();
    own.#folder = folderOf(options.base);
    own.#core = await own.#wait(own.#folder.core());
    own.#decoder = new Decoder(own.#core, { ...options.box, scale: options.reduce, partial, maxPixels: options.maxPixels ?? MAX_PIXELS });
    return own;
  }

  feed(bytes) {
    this.#decoder.feed(bytes);
  }

  finish() {
    this.#decoder.finish();
  }

  free() {
    this.#decoder.free();
  }

  /** Decodes what was fed. Returns whether there is a better picture. */
  async advance() {
    for (let event; event !== "NEED_BYTES" && event !== "DONE"; ) {
      this.#options.signal?.throwIfAborted();
      event = this.#decoder.advance(SLICE);
      if (event === "NEED_MODEL") await this.#setModel();
      if (event === "NEED_PIXELS") await this.#setPixels();
      if (event === "MORE") await rest();
      this.isDone = event === "DONE";
      this.#isBetter ||= event === "PREVIEW" || this.isDone;
    }
    return this.#isBetter;
  }

  /** As far as the first limit after the header. */
  readHeader() {
    try {
      this.#decoder.advance(0);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
    }
    return this.info;
  }

  /** A promise's value, unless the signal comes first. What is fetched is everybody's: it goes on without those who abort. */
  #wait(promise) {
    return unlessAborted(promise, this.#options.signal);
  }

  async #setModel() {
    const { modelNumber } = this.#decoder.info;
    const given = this.#options.model;
    if (!modelNumber && !given) throw new ModelError(`the file was written with model ${this.info.model}: give it as \`model\``);
    const { id, data } = modelNumber ? await this.#wait(this.#folder.model(modelNumber)) : { id: given, data: bytesOf(given) };
    this.#decoder.setModel(this.#core.model(id, data));
    await rest();
  }

  /** In a preview, a stored file that does not decode is left out. */
  async #setPixels() {
    const { webp, jpeg, partial, maxBytes } = this.#options;
    try {
      const own = { 1: webp, 2: jpeg };
      this.#decoder.setPixels(await this.#wait(storedPixels(this.#decoder.section("payload"), this.#decoder.info, own)));
    } catch (error) {
      if (!(error instanceof FormatError && (partial || maxBytes !== undefined))) throw error;
    }
  }

  /** Width and height of the whole image; null before the header is there. */
  get size() {
    try {
      const { width, height } = this.#decoder.info;
      return { width, height };
    } catch {
      return null;
    }
  }

  /** As `info` returns it. */
  get info() {
    const { width, height, mode, effort, levels, steps, orientation, tiles, modelNumber, modelId, kind, headerLength } = this.#decoder.info;
    const { isLossy, missing } = this.#decoder.verdict;
    const id = [0, 8, 16, 24].map((shift) => ((modelId >>> shift) & 255).toString(16).padStart(2, "0")).join("");
    return {
      width, height, mode: MODES[mode], effort, levels, steps, orientation, tiles, model: kind ? null : modelNumber || id,
      kind: KINDS[kind], webp: kind === 1, lossy: Boolean(isLossy), headerBytes: headerLength, missing,
    }; // prettier-ignore
  }

  picture() {
    this.#isBetter = false;
    const { orientation, mode } = this.info;
    const { isExact, isLossy, isDamaged, coloursExact, stepsDone, steps } = this.#decoder.verdict;
    const { width, height, channels, size } = this.#decoder.layout;
    const isBilevel = this.isDone && coloursExact && !(this.#options.reduce > 1);
    const [icc, exif, xmp] = ["icc", "exif", "xmp"].map((name) => this.#decoder.section(name));
    return {
      width, height, channels, data: this.#decoder.pixels({ size }), mode: mode === "1" && !isBilevel ? "L" : mode, exact: Boolean(isExact),
      lossy: Boolean(isLossy), damaged: Boolean(isDamaged), stepsDone, steps, orientation, icc, exif, xmp,
    }; // prettier-ignore
  }
}
