// The compiled core: web/core/decoder.cpp behind JavaScript's objects. Whoever makes one frees it.

import { CorruptError, DdpmError, ImageError, ModelError } from "./errors.js";
import { rest } from "./waiting.js";

const ROLES = { band1: 0, band2: 0, band3: 0, direct: 1, last: 2, preview: 3 };
const BAND_ROLES = ["band1", "band2", "band3"];
const CALL_POSITIONS = 1 << 13; // coded in a call
const INTERFACE = 2; // as in decoder.cpp
const SLICE = 50; // milliseconds after which the page gets its turn
const MOST_MODELS = 4; // of which networks are kept

export class Core {
  #exports;
  #networks = new Map(); // id of a model -> Map of its networks; the model that was used last is the last one
  #rested = 0; // when the page had its turn
  isBroken = false; // it stopped in the middle of something

  /** module: a WebAssembly.Module. url: where it comes from. */
  static async make(module, url) {
    const core = new Core();
    const none = (count, size) => (core.#views().u32.fill(0, count >> 2, (count >> 2) + 1).fill(0, size >> 2, (size >> 2) + 1), 0);
    const imports = {
      env: { emscripten_notify_memory_growth: () => {} },
      wasi_snapshot_preview1: { environ_sizes_get: none, environ_get: () => 0 }, // no environment
    };
    try {
      core.#exports = (await WebAssembly.instantiate(module, imports)).exports;
      core.#exports._initialize();
      if (core.#exports.interface_version() === INTERFACE) return core;
    } catch (error) {
      if (error instanceof RangeError) throw new ImageError(`there is not enough memory for the decoder (${error.message})`);
    }
    throw new ModelError(`${url} is of another version than this module: copy both again`);
  }

  /** Memory as it is now: it moves where it grows. */
  #views() {
    const { buffer } = this.#exports.memory;
    return { u8: new Uint8Array(buffer), u32: new Uint32Array(buffer) };
  }

  #zero(...addresses) {
    for (const address of addresses) this.#views().u32[address >>> 2] = 0;
    return 0;
  }

  #call(name, ...values) {
    if (this.isBroken) throw new DdpmError("the decoder stopped at another file: begin again");
    try {
      return this.#exports[name](...values);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) throw error;
      this.isBroken = true;
      throw new CorruptError(`the decoder stopped (${error.message}): the data is damaged; get the file again`);
    }
  }

  /** A call that gives 0 where something is wrong. */
  #checked(name, ...values) {
    const found = this.#call(name, ...values) >>> 0; // an address may lie above 2^31
    if (found) return found;
    const { u8 } = this.#views();
    const start = this.#call("message") >>> 0;
    const message = new TextDecoder().decode(u8.subarray(start, u8.indexOf(0, start)));
    throw new (message.includes("memory") ? ImageError : DdpmError)(message);
  }

  /** What `work` gives of the address of so many bytes. */
  #with(size, work) {
    const address = this.#call("malloc", Math.max(size, 1)) >>> 0;
    if (!address) throw new ImageError("there is not enough memory for this image");
    try {
      return work(address);
    } finally {
      if (!this.isBroken) this.#call("free", address);
    }
  }

  /** The same of copies of arrays, one address each. */
  #withCopies(arrays, work, addresses = []) {
    if (addresses.length === arrays.length) return work(...addresses);
    const own = arrays[addresses.length];
    const bytes = new Uint8Array(own.buffer, own.byteOffset, own.byteLength);
    return this.#with(bytes.length, (address) => {
      this.#views().u8.set(bytes, address);
      return this.#withCopies(arrays, work, [...addresses, address]);
    });
  }

  /** Calls with the addresses and the sizes of tensors, in this order. */
  #withTensors(tensors, work) {
    const size = tensors.reduce((sum, tensor) => sum + ((tensor.length + 15) & ~15), 0);
    return this.#with(size, (address) => {
      const addresses = new Uint32Array(tensors.length);
      tensors.forEach((tensor, k) => {
        addresses[k] = address;
        this.#views().u8.set(tensor, address);
        address += (tensor.length + 15) & ~15;
      });
      return this.#withCopies([addresses, Uint32Array.from(tensors, (tensor) => tensor.length)], work);
    });
  }

  // --- models

  #network(model, effort, role) {
    const [own, key] = [this.#networksOf(model), model.stored(effort, role)];
    if (ROLES[String(key).slice(2)] !== ROLES[role])
      throw new ModelError(`the model ${model.name} has no network of the role ${role}, but ${key} in its place: get it again`);
    if (!own.has(key)) own.set(key, this.#newNetwork(model, key, role));
    return own.get(key);
  }

  /** Those that were made of a model. Networks of a model that others have displaced are freed: a pass has shares in its own. */
  #networksOf(model) {
    const id = model.id || model; // nobody knows the id where there is no SHA-256
    const own = this.#networks.get(id) ?? new Map();
    this.#networks.delete(id);
    this.#networks.set(id, own);
    if (this.#networks.size > MOST_MODELS) {
      const [oldest, networks] = this.#networks.entries().next().value;
      for (const network of networks.values()) this.#call("network_free", network);
      this.#networks.delete(oldest);
    }
    return own;
  }

  #newNetwork(model, key, role) {
    const { components, width, depth, tensors } = model.network(key);
    return this.#withTensors(tensors, (data, sizes) =>
      this.#checked("network_new", ROLES[role], components, width, depth, data, sizes, tensors.length),
    );
  }

  // --- tiles

  /** A tile of a file's header, from streams [{ state, words }]: an address. */
  begin(model, header, box, streams, { forPreviews = false, isCut = false } = {}) {
    const preview = model.has(header.effort, "preview") ? ["preview"] : [];
    const roles = header.levels ? ["last", ...BAND_ROLES, ...preview] : ["direct"];
    const networks = Uint32Array.from(roles, (role) => this.#network(model, header.effort, role));
    const pass = this.#withCopies([networks], (address) =>
      this.#checked("pass_new", address, networks.length, header.levels, box.height, box.width, header.channels, streams.length > 1),
    );
    const words = new Uint32Array(streams.reduce((sum, stream) => sum + stream.words.length, 0));
    let at = 0;
    for (const stream of streams) {
      words.set(stream.words, at);
      at += stream.words.length;
    }
    const states = BigUint64Array.from(streams, (stream) => stream.state);
    const counts = Uint32Array.from(streams, (stream) => stream.words.length);
    try {
      this.#withCopies([states, words, counts], (...addresses) => this.#checked("pass_begin", pass, ...addresses, forPreviews, isCut));
    } catch (error) {
      this.free(pass);
      throw error;
    }
    return pass;
  }

  /** More words of each stream. */
  extend(pass, lanes) {
    lanes.forEach((words, lane) => {
      this.#withCopies([words], (address) => this.#checked("pass_extend", pass, lane, address, words.length));
    });
  }

  /** Takes a tile through its first `segments` segments, or as far as its words go: how many are done. The page gets its
   * turn now and then. */
  async advance(pass, box, segments, signal) {
    const waves = Math.ceil(CALL_POSITIONS / Math.min(box.height, Math.ceil(box.width / 4)));
    for (;;) {
      await this.#pause(signal);
      const done = this.#checked("pass_advance", pass, waves, segments) - 1;
      if (done >= segments || this.#call("pass_has_ended", pass)) return done;
    }
  }

  /** The page gets its turn if the last one was long ago, whatever was computed since. Throws the signal's reason. */
  async #pause(signal) {
    if (performance.now() - this.#rested >= SLICE) {
      await rest();
      this.#rested = performance.now();
    }
    signal?.throwIfAborted();
  }

  hasEnded(pass) {
    return Boolean(this.#call("pass_has_ended", pass));
  }

  isExact(pass) {
    return Boolean(this.#call("pass_is_exact", pass));
  }

  /** Whether its streams end with this check, and all of their words are taken. */
  agrees(pass, check) {
    return Boolean(this.#call("pass_agrees", pass, check));
  }

  /** Colour samples of a tile that is exact. */
  pixels(pass, box, channels) {
    const size = box.width * box.height;
    return this.#with(size * (channels + 1), (address) => {
      this.#call("pass_pixels", pass, address, address + size * channels);
      return this.#views().u8.slice(address, address + size * channels);
    });
  }

  free(pass) {
    if (pass && !this.isBroken) this.#call("pass_free", pass);
  }

  // --- previews

  canvas(header) {
    return this.#checked("canvas_new", header.height, header.width, header.channels);
  }

  place(canvas, box, pass) {
    this.#checked("canvas_place", canvas, box.top, box.left, pass);
  }

  /** Colour samples of the whole image. */
  shown(canvas, header) {
    const address = this.#call("canvas_shown", canvas) >>> 0;
    return this.#views().u8.slice(address, address + header.width * header.height * header.channels);
  }

  freeCanvas(canvas) {
    if (canvas && !this.isBroken) this.#call("canvas_free", canvas);
  }

  // --- sections

  /** At most so many bytes of a raw deflate stream: { data, ended }; ended: the stream and its data ended there together. */
  inflate(deflated, most) {
    return this.#withCopies([deflated], (address) =>
      this.#with(most + 4, (flag) => {
        const target = flag + 4;
        const count = this.#call("inflate", address, deflated.length, target, most, flag);
        if (count < 0) throw new CorruptError("a compressed section is damaged: get the file again");
        const { u8, u32 } = this.#views();
        return { data: u8.slice(target, target + count), ended: Boolean(u32[flag >>> 2]) };
      }),
    );
  }
}
