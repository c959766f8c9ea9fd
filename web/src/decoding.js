// The decoding of one image: it runs the core's decoder, and gives it what it asks for.

import { Decoder } from "./core.js";
import { FormatError, ImageError, ModelError } from "./errors.js";
import { folderOf } from "./folder.js";
import { storedPixels } from "./stored.js";
import { bytesOf, rest, unlessAborted } from "./waiting.js";

const SLICE = 0.05; // seconds after which the page gets its turn

export class Decoding {
  #options;
  #core;
  #isBetter = false; // than the last picture
  isDone = false;

  /** options: of index.d.ts. core: that of the archive; by default the folder's. */
  static async begin(options, core) {
    const own = new Decoding();
    own.#options = options;
    options.signal?.throwIfAborted();
    own.#core = core ?? (await unlessAborted(folderOf(options.base).core(), options.signal));
    own.decoder = new Decoder(own.#core, options);
    return own;
  }

  /** Decodes what was fed. Returns whether there is a better picture. */
  async advance() {
    for (let event; event !== "NEED_BYTES" && event !== "DONE"; ) {
      this.#options.signal?.throwIfAborted();
      event = this.decoder.advance(SLICE);
      if (event === "NEED_MODEL") await this.#setModel();
      if (event === "NEED_PIXELS") await this.#setPixels();
      if (event === "MORE") await rest();
      this.isDone = event === "DONE";
      this.#isBetter ||= event === "PREVIEW" || this.isDone;
    }
    return this.#isBetter;
  }

  async #setModel() {
    const { modelNumber, info } = this.decoder.facts;
    const { model: given, base, signal } = this.#options;
    if (!modelNumber && !given) throw new ModelError(`the file was written with model ${info.model}: give it as \`model\``);
    const { id, data } = modelNumber ? await unlessAborted(folderOf(base).model(modelNumber), signal) : { id: given, data: bytesOf(given) };
    this.decoder.call("ddpm_decoder_set_model", this.#core.model(id, data));
    await rest();
  }

  /** In a preview, a stored file that does not decode is left out. */
  async #setPixels() {
    const { webp, jpeg, partial, signal } = this.#options;
    const { info, channels } = this.decoder.facts;
    try {
      const pixels = storedPixels(this.decoder.section("payload"), { ...info, channels }, { webp, jpeg });
      this.decoder.give("ddpm_decoder_set_pixels", await unlessAborted(pixels, signal));
    } catch (error) {
      if (!(error instanceof FormatError && partial)) throw error;
    }
  }

  /** The header, as far as the first limit after it. */
  readHeader() {
    try {
      this.decoder.advance(0);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
    }
    return this.decoder.facts.info;
  }

  /** Width and height of the whole image; null before the header is there. */
  get size() {
    const info = this.decoder.facts?.info;
    return info ? { width: info.width, height: info.height } : null;
  }

  picture() {
    this.#isBetter = false;
    const { picture } = this.decoder.facts;
    if (this.#options.reduce > 1 && picture.mode === "1") picture.mode = "L";
    for (const name of ["icc", "exif", "xmp"]) picture[name] = this.decoder.section(name);
    return { ...picture, data: this.decoder.pixels(picture.width * picture.height * picture.channels) };
  }
}
