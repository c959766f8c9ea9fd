// The compiled core: functions of binding.cpp, which answer in JSON.

import * as errors from "./errors.js";
import { VERSION } from "./version.js";

const MOST_MODELS = 4; // that are kept

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
      if (core.#text(core.#exports.ddpm_version()) === VERSION) return core;
    } catch (error) {
      if (error instanceof RangeError) throw new errors.ImageError(`there is not enough memory for the core (${error.message})`);
    }
    throw new errors.ModelError(`${url} is of another version than this module: copy both again`);
  }

  /** WASI as far as the core calls it: no environment, and a clock. */
  #imports() {
    const none = (count, size) => (this.#view().setUint32(count, 0, true), this.#view().setUint32(size, 0, true), 0);
    const clock = (_id, _precision, out) => (this.#view().setBigUint64(out, BigInt(Math.round(performance.now() * 1e6)), true), 0);
    return {
      env: { emscripten_notify_memory_growth: () => {} },
      wasi_snapshot_preview1: { environ_sizes_get: none, environ_get: () => 0, clock_time_get: clock },
    };
  }

  /** Memory as it is now: it moves when it grows. Addresses may be above 2^31. */
  #view(address = 0, size) {
    return new DataView(this.#exports.memory.buffer, address >>> 0, size);
  }

  #bytes(address, size) {
    const { buffer, byteOffset, byteLength } = this.#view(address, size);
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  #text(address) {
    const all = this.#bytes(address);
    return new TextDecoder().decode(all.subarray(0, all.indexOf(0)));
  }

  /**
   * The answer of a function. Bytes among its arguments are copied to the core, and those of its answer from there.
   * Throws the errors of errors.js.
   */
  call(name, ...values) {
    const copies = [];
    try {
      const given = values.flatMap((value) => (value instanceof Uint8Array ? [this.#copy(value, copies), value.length] : value));
      const own = (_key, value) => (typeof value?.at === "number" ? this.#bytes(value.at, value.size).slice() : value);
      const answer = JSON.parse(this.#text(this.#run(name, ...given)), own);
      if (answer.error) throw new errors[answer.error](answer.message);
      return answer;
    } finally {
      for (const address of copies) this.free("free", address);
    }
  }

  #copy(bytes, copies) {
    const address = this.#run("malloc", bytes.length || 1);
    if (!address) throw new errors.ImageError("there is not enough memory for this image: decode a part of it, or reduce it");
    copies.push(address);
    this.#bytes(address, bytes.length).set(bytes);
    return address;
  }

  #run(name, ...values) {
    if (this.isBroken) throw new errors.DdpmError("the core stopped at another file: begin again");
    try {
      return this.#exports[name](...values);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) throw error;
      this.isBroken = true;
      throw new errors.CorruptError(`the core stopped (${error.message}): the data is damaged; get the file again`);
    }
  }

  free(name, address) {
    if (!this.isBroken) this.#run(name, address);
  }

  /** The address of a model. key: the same for the same model. The models that were used last are kept. */
  model(key, data) {
    const model = this.#models.get(key) ?? this.call("web_model", data).model;
    this.#models.delete(key);
    this.#models.set(key, model);
    if (this.#models.size > MOST_MODELS) {
      const [oldest, other] = this.#models.entries().next().value;
      this.free("ddpm_model_free", other);
      this.#models.delete(oldest);
    }
    return model;
  }
}
