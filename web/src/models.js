// Models: fetched once, kept by id, and taken apart: docs/format.md says which one a file needs, `models/context.py` what
// is in it.

import { bytesOf, sha256 } from "./bytes.js";
import { ModelError } from "./errors.js";

const CACHE = "ddpmcodec-models";
const KEY = "ddpmcodec"; // of a safetensors file's metadata: JSON in a string
export const ASK = { cache: "no-cache" }; // of files that have a new version under the old name: ask whether there is one
export const COPY = "copy all files of the module into one folder, or say with `base` where they are";
const BLOCK_LAYERS = ["weight", "factor"];

/** A model file's networks. id: sha256 of the file, in hexadecimal digits. */
export class Model {
  #data;
  #tensors;
  #networks;

  constructor(data, id, number) {
    this.id = id;
    this.number = number;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    try {
      const start = 8 + Number(view.getBigUint64(0, true));
      const { __metadata__, ...tensors } = JSON.parse(new TextDecoder().decode(data.subarray(8, start)));
      const facts = JSON.parse(__metadata__[KEY]);
      if (facts.kind !== "context" || facts.format !== 1) throw new Error("it is of another kind or format");
      this.name = facts.name;
      this.#networks = facts.networks;
      this.#tensors = tensors;
      this.#data = data.subarray(start);
    } catch (error) {
      throw new ModelError(`the model is damaged, or no model of ddpmcodec (${error.message}): get it again`);
    }
  }

  #tensor(name) {
    const found = this.#tensors[name];
    if (!found) throw new ModelError(`the model ${this.name} has no tensor ${name}: get it again`);
    return this.#data.subarray(...found.data_offsets);
  }

  /** Whether there is a network for an effort and a role. */
  has(effort, role) {
    return `${effort}.${role}` in this.#networks;
  }

  /** The network that the file has for an effort and a role: one that equals another has the other's tensors. */
  stored(effort, role) {
    const key = `${effort}.${role}`;
    return this.#networks[key]?.same_as ?? key;
  }

  /** What Core makes a network of, by its name in the file. */
  network(key) {
    const { components, architecture } = this.#networks[key] ?? {};
    if (architecture) {
      const what = `the model ${this.name} has networks of the architecture '${architecture}'`;
      throw new ModelError(`${what}, which only Python computes: decode the file there`);
    }
    const shape = this.#tensors[`${key}.stem.weight`]?.shape;
    if (!shape || !components) throw new ModelError(`the model ${this.name} has no network ${key}: get it again`);
    let depth = 0;
    while (this.#tensors[`${key}.block${depth}.weight`]) depth++;
    const blocks = Array.from({ length: depth }, (_, k) => BLOCK_LAYERS.map((part) => `block${k}.${part}`)).flat();
    const names = ["stem.weight", "stem.factor", "stem.bias", ...blocks];
    names.push("head.weight", "head.factor", "head.bias", "skip.weight", "skip.factor");
    return { components, width: shape[0], depth, tensors: names.map((name) => this.#tensor(`${key}.${name}`)) };
  }
}

const given = new WeakMap(); // what callers gave -> promise of a model

/** A model that a caller gives, which is hashed and taken apart once. */
export function givenModel(data) {
  if (!given.has(data)) given.set(data, newGivenModel(bytesOf(data)));
  return given.get(data);
}

async function newGivenModel(bytes) {
  return new Model(bytes, (await sha256(bytes)) ?? "", 0);
}

/** The models that lie beside the module, listed in models.json: [{ name, number, id, file, bytes }]. */
export class Models {
  #list;
  #made = new Map(); // number -> promise of a model

  constructor(base) {
    this.base = base;
  }

  /** The model that a file says. given: one that the caller has. Throws ModelError. */
  async of(header, given) {
    const said = header.modelNumber ? `number ${header.modelNumber}` : header.modelId;
    if (given && !header.modelNumber) {
      if (given.id && !given.id.startsWith(header.modelId))
        throw new ModelError(`the file was written with model ${said}, and the given one is ${given.id.slice(0, 8)}`);
      return given;
    }
    if (!header.modelNumber) throw new ModelError(`the file was written with model ${said}: give it as \`model\``);
    if (!this.#made.has(header.modelNumber)) {
      const made = this.#fetch(header.modelNumber);
      this.#made.set(header.modelNumber, made);
      made.catch(() => this.#made.delete(header.modelNumber)); // the next file may try again
    }
    return this.#made.get(header.modelNumber);
  }

  async #fetch(number) {
    this.#list ??= await fetchList(new URL("models.json", this.base));
    const entry = this.#list.find((own) => own.number === number);
    if (!entry) throw new ModelError(`the file was written with model number ${number}, which is not here: a newer decoder is needed`);
    const data = await cached(new URL(entry.file, this.base), entry.id);
    return new Model(data, entry.id, number);
  }
}

async function fetchList(url) {
  const data = await fetchBytes(url, ASK);
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    throw new ModelError(`${url} is no list of models, but ${likely(data)}: ${COPY}`);
  }
}

/** What came in place of a file: servers answer with a page for what they do not have. */
export function likely(data) {
  return data[0] === "<".charCodeAt() ? "a page (HTML)" : `something else (${data.length} bytes)`;
}

/** The bytes of a file whose SHA-256 is known, from the browser's cache if they are there. */
async function cached(url, id) {
  const key = `${url}?${id}`;
  const cache = await openCache();
  const kept = await cache?.match(key);
  if (kept) {
    const data = new Uint8Array(await kept.arrayBuffer());
    if ([id, null].includes(await sha256(data))) return data;
  }
  const data = (await fetchedOf(url, id, {})) ?? (await fetchedOf(url, id, { cache: "reload" })); // a browser may keep an old version
  if (!data) throw new ModelError(`${url} is another model than models.json says, or damaged: ${COPY}`);
  if (cache) await keep(cache, url, key, data).catch(() => {}); // a full disk is no reason to show nothing
  return data;
}

/** The bytes of a file if they have this SHA-256, or nobody knows; else null. */
async function fetchedOf(url, id, options) {
  const data = await fetchBytes(url, options);
  return [id, null].includes(await sha256(data)) ? data : null;
}

/** Keeps a model, in place of other versions of it. */
async function keep(cache, url, key, data) {
  for (const { url: other } of await cache.keys()) if (other.startsWith(`${url}?`) && other !== key) await cache.delete(other);
  await cache.put(key, new Response(data));
}

/** null where there is none, as on pages that no TLS protects, or where the user forbids it. */
async function openCache() {
  try {
    return (await globalThis.caches?.open(CACHE)) ?? null;
  } catch {
    return null;
  }
}

const NODES = ["node:fs", "promises"].join("/"); // a name that bundlers for browsers do not look for: they have none

async function readFromDisk(url) {
  const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ NODES);
  return new Uint8Array(await readFile(url));
}

/** The bytes of a URL; in Node.js of a file, too. options: of `fetch`. Throws ModelError. */
export async function fetchBytes(url, options) {
  try {
    if (url.protocol === "file:") return await readFromDisk(url);
    const response = await fetch(url, options);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new ModelError(`${url}: cannot be fetched (${error.message}): ${COPY}`);
  }
}
