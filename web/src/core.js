// The compiled core: functions and structs of ddpm.h as JavaScript's objects. docs/c.md describes the library.

import { ChecksumError, CorruptError, DdpmError, FormatError, ImageError, ModelError, TruncatedError } from "./errors.js";

const VERSION = "0.1.0"; // of the core that this module calls: a page may find files of two versions
const MESSAGE_BYTES = 1024;
const MOST_MODELS = 4; // that are kept
const ERRORS = [null, DdpmError, FormatError, TruncatedError, ChecksumError, CorruptError, ModelError, ImageError, DdpmError, ImageError, DdpmError];
const EVENTS = ["DONE", "ERROR", "NEED_BYTES", "NEED_MODEL", "NEED_PIXELS", "MORE", "PREVIEW"];
const SECTIONS = { icc: 0, exif: 1, xmp: 2, payload: 3 };

// Each struct begins with its size. Fields of 32 bits follow, then fields of 64 bits.
const STRUCTS = {
  plan: ["left top width height scale hasStep step partial threads", "maxPixels"],
  info: [
    "width height mode channels hasAlpha bits kind orientation effort levels steps tileWidth tileHeight tiles modelNumber modelId reserved",
    "headerLength fileLength payloadOffset payloadLength",
  ],
  layout: ["width height channels", "stride size"],
  verdict: ["isExact isDamaged isLossy alphaDamaged metadataDamaged coloursExact stepsDone steps reserved", "bytesUsed missing following"],
};
const FIELDS = Object.fromEntries(Object.entries(STRUCTS).map(([name, lists]) => [name, lists.map((list) => list.split(" "))]));

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
      if (!this.isBroken) this.call("free", address);
    }
  }

  withCopy(bytes, work) {
    return this.with(bytes.length, (address) => (this.bytes(address, bytes.length).set(bytes), work(address)));
  }

  /** The address of a model. key: the same for the same model. The models that were used last are kept. */
  model(key, data) {
    const model = this.#models.get(key) ?? this.#load(data);
    this.#models.delete(key);
    this.#models.set(key, model);
    if (this.#models.size > MOST_MODELS) {
      const [oldest, other] = this.#models.entries().next().value;
      this.call("ddpm_model_free", other);
      this.#models.delete(oldest);
    }
    return model;
  }

  #load(data) {
    return this.withCopy(data, (address) =>
      this.with(4 + MESSAGE_BYTES, (out) => {
        const kind = this.call("ddpm_model_load", out, address, data.length, out + 4, MESSAGE_BYTES);
        if (kind) throw new ERRORS[kind](this.text(out + 4));
        return this.view().getUint32(out, true);
      }),
    );
  }
}

/** A decoder of one file, which the caller frees. Its functions throw the errors of errors.js. */
export class Decoder {
  #core;
  #address;
  #failure; // of a call of `advance`

  constructor(core, plan) {
    this.#core = core;
    this.#address = core.call("ddpm_decoder_new");
    if (!this.#address) throw new ImageError("there is not enough memory for a decoder");
    try {
      this.#struct("plan", "ddpm_decoder_set_plan", plan);
    } catch (error) {
      this.free();
      throw error;
    }
  }

  free() {
    if (this.#address && !this.#core.isBroken) this.#core.call("ddpm_decoder_free", this.#address);
    this.#address = 0;
  }

  feed(bytes) {
    this.#core.withCopy(bytes, (address) => this.#checked("ddpm_decoder_feed", address, bytes.length));
  }

  finish() {
    this.#checked("ddpm_decoder_finish");
  }

  /** The name of the event after at most about so many seconds. */
  advance(seconds) {
    const event = EVENTS[this.#call("ddpm_decoder_advance", seconds)];
    if (event === "ERROR") throw (this.#failure ??= this.#error());
    return event;
  }

  setModel(model) {
    this.#checked("ddpm_decoder_set_model", model);
  }

  setPixels(pixels) {
    this.#core.withCopy(pixels, (address) => this.#checked("ddpm_decoder_set_pixels", address, pixels.length));
  }

  get info() {
    return this.#struct("info", "ddpm_decoder_info");
  }

  get layout() {
    return this.#struct("layout", "ddpm_decoder_layout");
  }

  get verdict() {
    return this.#struct("verdict", "ddpm_decoder_verdict");
  }

  pixels({ size }) {
    return this.#core.with(size, (address) => {
      this.#checked("ddpm_decoder_pixels", address, size, 0);
      return this.#core.bytes(address, size).slice();
    });
  }

  /** The bytes of a section of SECTIONS, empty if the file does not have it. */
  section(name) {
    return this.#core.with(8, (out) => {
      this.#checked("ddpm_decoder_section", SECTIONS[name], out, out + 4);
      const view = this.#core.view();
      return this.#core.bytes(view.getUint32(out, true), view.getUint32(out + 4, true)).slice();
    });
  }

  #call(name, ...values) {
    if (!this.#address) throw new DdpmError("the decoder was cancelled: make a new one");
    return this.#core.call(name, this.#address, ...values);
  }

  #checked(name, ...values) {
    if (this.#call(name, ...values)) throw this.#error();
  }

  #error() {
    return this.#core.with(4, (kind) => {
      const message = this.#core.text(this.#call("ddpm_decoder_error", kind));
      return new ERRORS[this.#core.view().getUint32(kind, true)](message);
    });
  }

  /** Calls a function with a struct of these values, and returns it. Fields that are not given are 0. */
  #struct(kind, name, values = {}) {
    const [short, long] = FIELDS[kind];
    const [start, size] = [4 + 4 * short.length, 4 + 4 * short.length + 8 * long.length];
    return this.#core.with(size, (address) => {
      const before = this.#core.view();
      before.setUint32(address, size, true);
      short.forEach((field, k) => before.setUint32(address + 4 + 4 * k, values[field] ?? 0, true));
      long.forEach((field, k) => before.setBigUint64(address + start + 8 * k, BigInt(values[field] ?? 0), true));
      this.#checked(name, address);
      const after = this.#core.view();
      const numbers = short.map((_, k) => after.getUint32(address + 4 + 4 * k, true));
      const larger = long.map((_, k) => Number(after.getBigUint64(address + start + 8 * k, true)));
      return Object.fromEntries([...short, ...long].map((field, k) => [field, [...numbers, ...larger][k]]));
    });
  }
}
