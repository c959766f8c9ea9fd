// The folder of the module: the compiled core and the models, fetched once. The browser's cache keeps them for the next page.

import { Core } from "./core.js";
import { ModelError } from "./errors.js";

const COPY = "copy all files of the module into one folder, or name their folder with `base`";
const NODES = ["node:fs", "promises"].join("/"); // a name that bundlers for browsers do not look for: they have none

const fetched = new Map(); // promises by URL

/** One that rejects is forgotten, so that the next file tries again. */
function once({ href }, make) {
  if (!fetched.has(href)) fetched.set(href, make());
  fetched.get(href).catch(() => fetched.delete(href));
  return fetched.get(href);
}

/** The URL of a file in the folder. base: by default that of this module, which is no file that a bundler should take along. */
export function urlOf(file, base) {
  try {
    const folder = base === undefined ? new URL("./", /* @vite-ignore */ import.meta.url) : new URL(base, globalThis.location?.href ?? import.meta.url);
    if (!folder.pathname.endsWith("/")) folder.pathname += "/";
    return new URL(file, folder);
  } catch {
    const found = base === undefined ? "this module has no URL" : `${base} is relative, and nothing here has a URL, as in a worker made of a blob`;
    throw new ModelError(`${found}: give the whole URL of its folder as \`base\``);
  }
}

/** The compiled core, a new one if the last one stopped in the middle of something. */
export async function coreOf(base) {
  const url = urlOf("ddpmcodec.wasm", base);
  const make = async () => Core.make(await compiled(url), url);
  if ((await once(url, make)).isBroken) fetched.delete(url.href);
  return once(url, make);
}

async function compiled(url) {
  const response = await responseOf(url);
  const isStreamed = response.headers.get("content-type") === "application/wasm";
  const compiling = isStreamed ? WebAssembly.compileStreaming(response) : response.arrayBuffer().then((data) => WebAssembly.compile(data));
  return compiling.catch(({ message }) => {
    throw new ModelError(`${url} does not compile (${message}): a Content-Security-Policy must have 'wasm-unsafe-eval' in script-src; without one, ${COPY}`);
  });
}

/** The bytes of a model. */
export async function modelOf(name, base) {
  const url = urlOf(`${name}.safetensors`, base);
  return once(url, async () => new Uint8Array(await (await responseOf(url)).arrayBuffer()));
}

/** What to throw if the core refuses a model of the folder. */
export function wrongModel(name, base, { message }) {
  const url = urlOf(`${name}.safetensors`, base);
  fetched.delete(url.href);
  return new ModelError(`${url}: ${message}: ${COPY}`);
}

/** A file; in Node.js from a disk, too. Browsers ask whether there is a new version, and otherwise take theirs. Throws ModelError. */
async function responseOf(url) {
  try {
    if (url.protocol === "file:") return new Response(await (await import(/* webpackIgnore: true */ /* @vite-ignore */ NODES)).readFile(url));
    const response = await fetch(url, { cache: "no-cache" });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return response;
  } catch (error) {
    throw new ModelError(`${url}: cannot be fetched (${error.message}): ${COPY}`);
  }
}
