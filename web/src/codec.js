// What a caller's options stand for: the core, the models, and how much is too much.

import { isEqual } from "./bytes.js";
import { Core } from "./core.js";
import { File } from "./file.js";
import { ImageError, ModelError } from "./errors.js";
import { ASK, COPY, Models, fetchBytes, givenModel, likely } from "./models.js";
import { unlessAborted } from "./waiting.js";
import { browsersWebP } from "./webp.js";

const MAX_PIXELS = 2 ** 26; // as Python's default

const WASM = [0, 0x61, 0x73, 0x6d]; // what such a file begins with

const loaded = new Map(); // base -> { module, models, core }

/** The folder of a caller's `base`; by default that of this module, which is no file that a bundler should take along. */
function folderOf(base) {
  try {
    const url =
      base === undefined ? new URL("./", /* @vite-ignore */ import.meta.url) : new URL(base, globalThis.location?.href ?? import.meta.url);
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    return url;
  } catch {
    const found = base === undefined ? "this module has no URL" : `no URL begins in front of ${base} here, as in a worker made of a blob`;
    throw new ModelError(`${found}: give the whole URL of its folder as \`base\``);
  }
}

function place(base) {
  const url = folderOf(base);
  if (!loaded.has(url.href)) loaded.set(url.href, { url, models: new Models(url) });
  return loaded.get(url.href);
}

async function fetchModule(url) {
  const data = await fetchBytes(url, ASK);
  if (!isEqual(data.subarray(0, WASM.length), WASM)) throw new ModelError(`${url} is no WebAssembly, but ${likely(data)}: ${COPY}`);
  try {
    return await WebAssembly.compile(data);
  } catch (error) {
    throw new ModelError(`${url} does not compile (${error.message}): a Content-Security-Policy must have 'wasm-unsafe-eval' in script-src; without one, ${COPY}`);
  }
}

/** Everything that decoding needs beside the data. */
export class Codec {
  #place;
  #given;

  constructor(options = {}) {
    this.#place = place(options.base);
    this.#given = options.model ? givenModel(options.model) : null;
    this.#given?.catch(() => {}); // whoever awaits it sees it
    this.maxPixels = options.maxPixels ?? MAX_PIXELS;
    this.signal = options.signal;
    const webp = options.webp ?? browsersWebP;
    this.webp = async (...given) => unlessAborted(Promise.resolve(webp(...given)), this.signal);
  }

  /** The compiled core. What is fetched is everybody's: it goes on without those who abort. */
  async core() {
    return unlessAborted(this.#core(), this.signal);
  }

  /** A new one where the last one stopped in the middle of something. */
  async #core() {
    const own = this.#place;
    const wasm = new URL("ddpmcodec.wasm", own.url);
    own.module ??= fetchModule(wasm);
    own.module.catch(() => delete own.module);
    if (!own.core || (await own.core).isBroken) own.core = own.module.then((module) => Core.make(module, wasm));
    own.core.catch(() => (delete own.core, delete own.module)); // which may be of another version
    return own.core;
  }

  async modelOf(header) {
    return unlessAborted(this.#model(header), this.signal);
  }

  async #model(header) {
    return this.#place.models.of(header, await this.#given);
  }

  /** Throws ImageError where the header claims more pixels than are wanted. */
  checkPixels({ width, height }) {
    if (width * height > this.maxPixels)
      throw new ImageError(`the header claims ${width} x ${height} pixels, more than maxPixels, ${this.maxPixels}: raise it for an image that is really so large`);
  }

  /** A file, or a prefix of one, that is not too large. */
  open(data) {
    const file = new File(data);
    this.checkPixels(file.header);
    return file;
  }
}
