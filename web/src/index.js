// Decodes and encodes .ddpm files, and decodes archives, in a browser or in Node.js. Types and documentation: index.d.ts; docs/web.md.

import { Decoding } from "./decoding.js";
import { DdpmError, FormatError } from "./errors.js";
import { coreOf } from "./folder.js";
import { bytesOf, chunksOf, unlessAborted } from "./sources.js";
import { TileWorkers } from "./tiles.js";

export * from "./errors.js";
export { encode, prefetch } from "./encoding.js";
export { readPicture } from "./pictures.js";

export async function decode(data, options = {}) {
  const { maxBytes, workers = 1 } = options;
  const bytes = bytesOf(data).subarray(0, maxBytes);
  const helpers = workers > 1 ? new TileWorkers(workers - 1, bytes, options) : undefined;
  const feed = (decoding) => (decoding.call("web_feed", bytes), decoding.call("web_finish"));
  return picture({ ...options, partial: options.partial || maxBytes !== undefined }, feed, { helpers }).finally(() => helpers?.end());
}

/** The picture of what `give` gives to a decoding. */
async function picture(options, give, { core, helpers }) {
  const decoding = await Decoding.begin(options, core);
  try {
    give(decoding);
    await decoding.advance(helpers);
    return decoding.picture();
  } finally {
    decoding.free();
  }
}

export async function* decodeStream(source, options = {}) {
  const beginning = Decoding.begin(options); // while the first bytes arrive
  beginning.catch(() => {}); // whoever awaits it sees it
  try {
    for await (const chunks of chunksOf(source, options.signal)) {
      const decoding = await beginning;
      if (decoding.isDone) throw new FormatError("bytes follow the end of the image: cut them off");
      for (const chunk of chunks) decoding.call("web_feed", chunk);
      if (await decoding.advance()) yield decoding.picture();
    }
    const decoding = await beginning;
    if (decoding.isDone) return;
    decoding.call("web_finish");
    await decoding.advance();
    yield decoding.picture();
  } finally {
    beginning.then((decoding) => decoding.free()).catch(() => {});
  }
}

export async function info(data, { base, signal } = {}) {
  const core = await unlessAborted(coreOf(base), signal);
  return core.call("web_info", bytesOf(data));
}

export async function openArchive(data, { base, signal } = {}) {
  const bytes = bytesOf(data);
  signal?.throwIfAborted();
  const core = await unlessAborted(coreOf(base), signal);
  return new Archive(core, core.call("web_archive", bytes), base);
}

class Archive {
  #core;
  #address;
  #base;

  constructor(core, { archive, images }, base) {
    [this.#core, this.#address, this.#base, this.images] = [core, archive, base, images];
  }

  async decode(name, options = {}) {
    const image = this.images.findIndex((own) => own.name === name);
    if (image < 0) throw new DdpmError(`the archive has no image '${name}': \`images\` has all names`);
    const give = (decoding) => {
      if (!this.#address) throw new DdpmError("the archive was closed: open it again");
      decoding.call("web_set_member", this.#address, image);
    };
    return picture({ base: this.#base, ...options }, give, { core: this.#core });
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
