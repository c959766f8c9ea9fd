// Whole files, prefixes, and images of archives, at once. See index.d.ts.

import { Decoding } from "./decoding.js";
import { DdpmError } from "./errors.js";
import { folderOf } from "./folder.js";
import { bytesOf, unlessAborted } from "./waiting.js";

/** Returns work(decoding) of what `give` gives to its decoder. */
async function withDecoding(options, core, give, work) {
  const decoding = await Decoding.begin(options, core);
  try {
    give(decoding.decoder);
    return await work(decoding);
  } finally {
    decoding.decoder.free();
  }
}

const feeding = (bytes) => (decoder) => (decoder.give("ddpm_decoder_feed", bytes), decoder.call("ddpm_decoder_finish"));
const picture = async (decoding) => (await decoding.advance(), decoding.picture());

export async function decode(data, options = {}) {
  const { maxBytes } = options;
  const bytes = bytesOf(data).subarray(0, maxBytes);
  return withDecoding({ ...options, partial: options.partial || maxBytes !== undefined }, undefined, feeding(bytes), picture);
}

export async function info(data, { base, signal } = {}) {
  return withDecoding({ base, signal, maxPixels: 1, partial: true }, undefined, feeding(bytesOf(data)), (decoding) => decoding.readHeader());
}

export async function openArchive(data, { base, signal } = {}) {
  const bytes = bytesOf(data);
  signal?.throwIfAborted();
  const core = await unlessAborted(folderOf(base).core(), signal);
  return new Archive(core, core.load("ddpm_archive_open", bytes), base);
}

class Archive {
  #core;
  #address;
  #base;

  constructor(core, address, base) {
    [this.#core, this.#address, this.#base] = [core, address, base];
    this.images = JSON.parse(core.text(core.call("web_images", address)));
  }

  async decode(name, options = {}) {
    const image = this.images.findIndex((own) => own.name === name);
    if (image < 0) throw new DdpmError(`the archive has no image '${name}': \`images\` has all names`);
    const give = (decoder) => {
      if (!this.#address) throw new DdpmError("the archive was closed: open it again");
      decoder.call("ddpm_decoder_set_member", this.#address, image);
    };
    return withDecoding({ base: this.#base, ...options }, this.#core, give, picture);
  }

  close() {
    if (this.#address) this.#core.free("ddpm_archive_free", this.#address);
    this.#address = 0;
  }
}

/** Uint8ClampedArray of 4 bytes a pixel, as ImageData takes them. */
export function toRGBA({ width, height, channels, data }) {
  const found = new Uint8ClampedArray(4 * width * height);
  const colours = channels < 3 ? 1 : 3;
  for (let k = 0, from = 0, to = 0; k < width * height; k++, from += channels, to += 4) {
    for (let c = 0; c < 3; c++) found[to + c] = data[from + (colours === 1 ? 0 : c)];
    found[to + 3] = channels % 2 ? 255 : data[from + colours];
  }
  return found;
}
