// Runs the decoder on what standard input asks, one JSON object a line, and answers one a line. Tests of Node.js start it.
//
//     node harness.mjs DIST

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const web = await import(pathToFileURL(resolve(process.argv[2], "index.js")));

let networks = 0; // in the core's memory

const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (...given) => {
  const { exports } = await instantiate(...given);
  networks = 0;
  const network_new = (...values) => (networks++, exports.network_new(...values));
  const network_free = (network) => (networks--, exports.network_free(network));
  return { exports: { ...exports, network_new, network_free } };
};

function answerOf(picture) {
  if (!picture) return null;
  const sha256 = createHash("sha256").update(picture.data).digest("hex");
  const text = (bytes) => Buffer.from(bytes).toString("base64");
  return { ...picture, sha256, data: text(picture.data), icc: text(picture.icc), exif: text(picture.exif), xmp: text(picture.xmp) };
}

function chunksOf(data, size) {
  return Array.from({ length: Math.ceil(data.length / size) }, (_, k) => data.subarray(k * size, (k + 1) * size));
}

const operations = {
  decode: async (data, options) => answerOf(await web.decode(data, options)),
  info: async (data) => web.info(data),
  // What `feed` gives of chunks of so many bytes, and `close`.
  feed: async (data, { chunk, ...options }) => {
    const decoder = new web.ProgressiveDecoder(options);
    const pictures = [];
    for (const part of chunksOf(data, chunk)) pictures.push(answerOf(await decoder.feed(part)));
    return { pictures, closed: answerOf(await decoder.close()), complete: decoder.complete, size: decoder.size };
  },
  // The same by decodeStream.
  stream: async (data, { chunk, ...options }) => {
    const pictures = [];
    for await (const picture of web.decodeStream(chunksOf(data, chunk), options)) pictures.push(answerOf(picture));
    return { pictures };
  },
  networks: async () => ({ networks }),
  abort: async (data, options) => answerOf(await web.decode(data, { ...options, signal: AbortSignal.abort(new Error("stop")) })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { operation, data, model, rgba, ...options } = JSON.parse(line);
  if (model) options.model = await readFile(model);
  if (rgba) options.webp = () => Uint8Array.from(Buffer.from(rgba, "base64"));
  let answer;
  try {
    answer = await operations[operation](Buffer.from(data, "base64"), options);
  } catch (error) {
    answer = { error: error.name, message: error.message, own: error instanceof web.DdpmError };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
