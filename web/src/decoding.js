// The decoding of one image: it runs the core's decoder, and gives it what it asks for.

import { FormatError, ModelError } from "./errors.js";
import { coreOf, modelOf, wrongModel } from "./folder.js";
import { rgbaOf } from "./jpeg.js";
import { bytesOf, rest, unlessAborted } from "./sources.js";

const SLICE = 0.05; // seconds after which the page gets its turn

export class Decoding {
  #core;
  #address;
  #options;
  #isBetter = false; // than the last picture
  isDone = false;

  /** options: of index.d.ts. core: that of the archive; by default the folder's. */
  static async begin(options, core) {
    const { box = {}, reduce, partial, maxPixels, base, signal } = options;
    signal?.throwIfAborted();
    const own = new Decoding();
    own.#options = options;
    own.#core = core ?? (await unlessAborted(coreOf(base), signal));
    own.#address = own.#core.call("web_decoder", box.left, box.top, box.width, box.height, reduce, partial, maxPixels).decoder;
    return own;
  }

  call(name, ...values) {
    return this.#core.call(name, this.#address, ...values);
  }

  free() {
    this.#core.free("ddpm_decoder_free", this.#address);
  }

  /** Decodes what was fed. helpers: a TileWorkers that take tiles. Returns whether there is a better picture. */
  async advance(helpers) {
    while (true) {
      this.#options.signal?.throwIfAborted();
      const { event, model } = this.call("web_advance", SLICE);
      if (event === "NEED_MODEL") await this.#setModel(model);
      if (event === "NEED_PIXELS") await this.#setPixels();
      if (event === "NEED_TILES") await unlessAborted(helpers.next(), this.#options.signal);
      if (event === "MORE") await rest();
      helpers?.give(this);
      this.isDone = event === "DONE";
      this.#isBetter ||= event === "PREVIEW" || this.isDone;
      if (this.isDone || event === "NEED_BYTES") return this.#isBetter;
    }
  }

  /** name: of a model in the folder; null: the caller has the model, whose file has this id. */
  async #setModel({ name, id }) {
    const { model, base, signal } = this.#options;
    if (!name && !model) throw new ModelError(`the file was written with model ${id}: give it as \`model\``);
    const data = name ? await unlessAborted(modelOf(name, base), signal) : bytesOf(model);
    try {
      this.call("web_set_model", this.#core.model(name ? data : model, data));
    } catch (error) {
      throw name && error instanceof ModelError ? wrongModel(name, base, error) : error;
    }
    await rest();
  }

  /** In a preview, a JPEG file that does not decode is left out. */
  async #setPixels() {
    const { partial, signal } = this.#options;
    try {
      this.call("web_set_rgba", await unlessAborted(rgbaOf(this.call("web_jpeg"), this.#options.jpeg), signal));
    } catch (error) {
      if (!(error instanceof FormatError && partial)) throw error;
    }
  }

  picture() {
    this.#isBetter = false;
    return this.call("web_picture");
  }
}
