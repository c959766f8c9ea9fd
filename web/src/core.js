// The compiled core: functions of ddpm.h, which docs/c.md describes, and of binding.cpp.

import { ChecksumError, CorruptError, DdpmError, FormatError, ImageError, ModelError, TruncatedError } from "./errors.js";
import { VERSION } from "./version.js";

const MESSAGE_BYTES = 1024;
const MOST_MODELS = 4; // that are kept
const MAX_PIXELS = 2 ** 26; // as Python's default
const ERRORS = [null, DdpmError, FormatError, TruncatedError, ChecksumError, CorruptError, ModelError, ImageError, DdpmError, ImageError, DdpmError];
const EVENTS = ["DONE", "ERROR", "NEED_BYTES", "NEED_MODEL", "NEED_PIXELS", "MORE", "PREVIEW"];
const SECTIONS = { icc: 0, exif: 1, xmp: 2, payload: 3 };

/** An instance of the core, with the models that were given to it. */
export class Core {
  #exports;
  #models = new Map(); // key -> address; the model that was used last is the last one
  isBroken = false; // it stopped in the middle of something

  /** module: a WebAssembly.Module. url: of its file, for errors. */
  static async make(module, url) {
    const core = new Core();
    try {
      core.#exports = (await WebAssembly.instantiate(module, core.#imports())).exports;
      core.#exports._initialize();
      if (core.text(core.#exports.ddpm_version()) === VERSION) return core;
    } catch (error) {
      if (error instanceof RangeError) throw new ImageError(`there is not enough memory for the decoder (${error.message})`);
    }
    throw new ModelError(`${url} is of another version than this module: copy both again`);
  }

  /** WASI as far as the core calls it: no environment, and a clock. */
  #imports() {
    const none = (count, size) => (this.view().setUint32(count, 0, true), this.view().setUint32(size, 0, true), 0);
    const clock = (_id, _precision, out) => (this.view().setBigUint64(out, BigInt(Math.round(performance.now() * 1e6)), true), 0);
    return {
      env: { emscripten_notify_memory_growth: () => {} },
      wasi_snapshot_preview1: { environ_sizes_get: none, environ_get: () => 0, clock_time_get: clock },
    };
  }

  /** Memory as it is now: it moves when it grows. */
  view() {
    return new DataView(this.#exports.memory.buffer);
  }

  bytes(address, size) {
    return new Uint8Array(this.#exports.memory.buffer, address >>> 0, size); // addresses may be above 2^31
  }

  text(address) {
    const all = this.bytes(address);
    return new TextDecoder().decode(all.subarray(0, all.indexOf(0)));
  }

  call(name, ...values) {
    if (this.isBroken) throw new DdpmError("the decoder stopped at another file: begin again");
    try {
      return this.#exports[name](...values);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) throw error;
      this.isBroken = true;
      throw new CorruptError(`the decoder stopped (${error.message}): the data is damaged; get the file again`);
    }
  }

  /** Returns work(address) of `size` bytes that are freed after it. */
  with(size, work) {
    const address = this.call("malloc", size || 1) >>> 0;
    if (!address) throw new ImageError("there is not enough memory for this image: decode a part of it, or reduce it");
    try {
      return work(address);
    } finally {
      this.free("free", address);
    }
  }

  withCopy(bytes, work) {
    return this.with(bytes.length, (address) => (this.bytes(address, bytes.length).set(bytes), work(address)));
  }

  free(name, address) {
    if (!this.isBroken) this.call(name, address);
  }

  /** The address of a model or an archive, by the function that makes it of bytes. */
  load(name, data) {
    return this.withCopy(data, (address) =>
      this.with(4 + MESSAGE_BYTES, (out) => {
        const kind = this.call(name, out, address, data.length, out + 4, MESSAGE_BYTES);
        if (kind) throw new ERRORS[kind](this.text(out + 4));
        return this.view().getUint32(out, true);
      }),
    );
  }

  /** The address of a model. key: the same for the same model. The models that were used last are kept. */
  model(key, data) {
    const model = this.#models.get(key) ?? this.load("ddpm_model_load", data);
    this.#models.delete(key);
    this.#models.set(key, model);
    if (this.#models.size > MOST_MODELS) {
      const [oldest, other] = this.#models.entries().next().value;
      this.call("ddpm_model_free", other);
      this.#models.delete(oldest);
    }
    return model;
  }
}

/** A decoder of one image, which the caller frees. Its functions throw the errors of errors.js. */
export class Decoder {
  #core;
  #address;
  #failure; // of a call of `advance`

  constructor(core, { box = {}, reduce, partial, maxPixels = MAX_PIXELS }) {
    this.#core = core;
    this.#address = core.call("ddpm_decoder_new");
    if (!this.#address) throw new ImageError("there is not enough memory for a decoder");
    try {
      this.call("web_set_plan", box.left, box.top, box.width, box.height, reduce, partial, maxPixels);
    } catch (error) {
      this.free();
      throw error;
    }
  }

  free() {
    if (this.#address) this.#core.free("ddpm_decoder_free", this.#address);
    this.#address = 0;
  }

  /** Calls a function that returns a ddpm_error. */
  call(name, ...values) {
    if (this.#call(name, ...values)) throw this.#error();
  }

  /** Calls a function that copies bytes. */
  give(name, bytes) {
    this.#core.withCopy(bytes, (address) => this.call(name, address, bytes.length));
  }

  /** The name of the event after at most about so many seconds. */
  advance(seconds) {
    const event = EVENTS[this.#call("ddpm_decoder_advance", seconds)];
    if (event === "ERROR") throw (this.#failure ??= this.#error());
    return event;
  }

  /** { info, picture, channels, modelNumber } of binding.cpp; null before the header was read. */
  get facts() {
    return JSON.parse(this.#core.text(this.#call("web_facts")));
  }

  pixels(size) {
    return this.#core.with(size, (address) => {
      this.call("ddpm_decoder_pixels", address, size, 0);
      return this.#core.bytes(address, size).slice();
    });
  }

  /** The bytes of a section of SECTIONS, empty if the file does not have it. */
  section(name) {
    return this.#core.with(8, (out) => {
      this.call("ddpm_decoder_section", SECTIONS[name], out, out + 4);
      const view = this.#core.view();
      return this.#core.bytes(view.getUint32(out, true), view.getUint32(out + 4, true)).slice();
    });
  }

  #call(name, ...values) {
    if (!this.#address) throw new DdpmError("the decoder was cancelled: make a new one");
    return this.#core.call(name, this.#address, ...values);
  }

  #error() {
    return this.#core.with(4, (kind) => {
      const message = this.#core.text(this.#call("ddpm_decoder_error", kind));
      return new ERRORS[this.#core.view().getUint32(kind, true)](message);
    });
  }
}
