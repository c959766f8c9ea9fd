// The folder of the module: the compiled core and the models, fetched once. Models are kept by their SHA-256.

import { Core } from "./core.js";
import { ModelError } from "./errors.js";

const CACHE = "ddpmcodec-models";
const ASK = { cache: "no-cache" }; // of files that have a new version under the old name: ask whether there is one
const COPY = "copy all files of the module into one folder, or name their folder with `base`";
const NODES = ["node:fs", "promises"].join("/"); // a name that bundlers for browsers do not look for: they have none

/** Promises by key. One that rejects is forgotten, so that the next file tries again. */
class Promises extends Map {
  of(key, make) {
    if (!this.has(key)) this.set(key, make());
    this.get(key).catch(() => this.delete(key));
    return this.get(key);
  }
}

const folders = new Map(); // URL -> Folder

/** The folder of a caller's `base`; by default that of this module, which is no file that a bundler should take along. */
export function folderOf(base) {
  const { href } = urlOf(base);
  if (!folders.has(href)) folders.set(href, new Folder(href));
  return folders.get(href);
}

function urlOf(base) {
  try {
    const url =
      base === undefined ? new URL("./", /* @vite-ignore */ import.meta.url) : new URL(base, globalThis.location?.href ?? import.meta.url);
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    return url;
  } catch {
    const found = base === undefined ? "this module has no URL" : `${base} is relative, and nothing here has a URL, as in a worker made of a blob`;
    throw new ModelError(`${found}: give the whole URL of its folder as \`base\``);
  }
}

class Folder {
  #url;
  #fetched = new Promises(); // the core, and models by number

  constructor(url) {
    this.#url = url;
  }

  /** The compiled core, a new one if the last one stopped in the middle of something. */
  async core() {
    const url = new URL("ddpmcodec.wasm", this.#url);
    const make = async () => Core.make(await fetchModule(url), url);
    if ((await this.#fetched.of("core", make)).isBroken) this.#fetched.delete("core");
    return this.#fetched.of("core", make);
  }

  /** { id, data } of a model that models.json lists: [{ name, number, id, file, bytes }]. */
  async model(number) {
    return this.#fetched.of(number, async () => {
      const entry = (await fetchList(new URL("models.json", this.#url))).find((own) => own.number === number);
      if (!entry) throw new ModelError(`the file was written with model number ${number}, which is not here: a newer decoder is needed`);
      return { id: entry.id, data: await cached(new URL(entry.file, this.#url), entry.id) };
    });
  }
}

async function fetchModule(url) {
  const data = await fetchBytes(url, ASK);
  if (new TextDecoder().decode(data.subarray(0, 4)) !== "\0asm") throw new ModelError(`${url} is no WebAssembly, but ${likely(data)}: ${COPY}`);
  return WebAssembly.compile(data).catch(({ message }) => {
    throw new ModelError(`${url} does not compile (${message}): a Content-Security-Policy must have 'wasm-unsafe-eval' in script-src; without one, ${COPY}`);
  });
}

async function fetchList(url) {
  const data = await fetchBytes(url, ASK);
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    throw new ModelError(`${url} is no list of models, but ${likely(data)}: ${COPY}`);
  }
}

/** What came in place of a file: servers answer with a page for a file that they do not have. */
function likely(data) {
  return data[0] === "<".charCodeAt() ? "a page (HTML)" : `something else (${data.length} bytes)`;
}

/** The bytes of a URL; in Node.js of a file, too. options: of `fetch`. Throws ModelError. */
async function fetchBytes(url, options) {
  try {
    if (url.protocol === "file:") return new Uint8Array(await (await import(/* webpackIgnore: true */ /* @vite-ignore */ NODES)).readFile(url));
    const response = await fetch(url, options);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new ModelError(`${url}: cannot be fetched (${error.message}): ${COPY}`);
  }
}

// --- models by their SHA-256

/** Whether data has a SHA-256. On pages without TLS, which have none, it is not known: then the core's checks are the only ones. */
async function hasId(data, id) {
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === id;
}

/** The bytes of a file whose SHA-256 is known, from the browser's cache if they are there. */
async function cached(url, id) {
  const key = `${url}?${id}`;
  const cache = await globalThis.caches?.open(CACHE).catch(() => null); // the user may forbid it
  const kept = await cache?.match(key);
  const found = kept && new Uint8Array(await kept.arrayBuffer());
  if (found && (await hasId(found, id))) return found;
  for (const options of [{}, { cache: "reload" }]) { // a browser may keep an old version
    const data = await fetchBytes(url, options);
    if (!(await hasId(data, id))) continue;
    if (cache) await keep(cache, url, key, data).catch(() => {}); // a full disk is no reason to show nothing
    return data;
  }
  throw new ModelError(`${url} is another model than models.json says, or damaged: ${COPY}`);
}

/** Keeps a model, in place of other versions of it. */
async function keep(cache, url, key, data) {
  for (const { url: other } of await cache.keys()) if (other.startsWith(`${url}?`) && other !== key) await cache.delete(other);
  await cache.put(key, new Response(data));
}
