// Runs the module on what standard input asks, one JSON object a line, and answers one a line. Tests of Node.js start it.
//
//     node harness.mjs DIST

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const web = await import(pathToFileURL(resolve(process.argv[2], "index.js")));

let decoders = 0; // that were made
let kept = 0; // of these and of encoders, in memory
let models = () => 0; // in the memory of the core that loaded one last
const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (...given) => {
  const { exports } = await instantiate(...given);
  const isError = (answer) => Buffer.from(exports.memory.buffer, answer, 8).toString() === '{"error"';
  let count = 0;
  const counted = {
    web_model: (...values) => {
      const answer = exports.web_model(...values);
      if (!isError(answer)) (count++, (models = () => count));
      return answer;
    },
    ddpm_model_free: (model) => (count--, exports.ddpm_model_free(model)),
    web_decoder: (...values) => {
      const answer = exports.web_decoder(...values);
      if (!isError(answer)) (decoders++, kept++);
      return answer;
    },
    ddpm_decoder_free: (decoder) => (kept--, exports.ddpm_decoder_free(decoder)),
    web_encoder: (...values) => {
      const answer = exports.web_encoder(...values);
      if (!isError(answer)) kept++;
      return answer;
    },
    ddpm_encoder_free: (encoder) => (kept--, exports.ddpm_encoder_free(encoder)),
  };
  return { exports: { ...exports, ...counted } };
};

const bytesOf = ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength);
const text = (bytes = new Uint8Array(0)) => Buffer.from(bytes).toString("base64");

function answerOf(picture) {
  if (!picture) return null;
  const sha256 = createHash("sha256").update(picture.data).digest("hex");
  return { ...picture, sha256, data: text(picture.data), icc: text(picture.icc), exif: text(picture.exif), xmp: text(picture.xmp) };
}

function chunksOf(data, size) {
  return Array.from({ length: Math.ceil(data.length / size) }, (_, k) => data.subarray(k * size, (k + 1) * size));
}

/** The number of pictures, and whether the last one is exact. */
async function lastOf(pictures) {
  let [count, exact] = [0, false];
  for await (const picture of pictures) [count, exact] = [count + 1, picture.exact];
  return [count, exact];
}

const operations = {
  decode: async (data, options) => answerOf(await web.decode(data, options)),
  info: async (data) => web.info(data),
  // What decodeStream gives of chunks of so many bytes: the picture after each chunk, or null, and the last one.
  stream: async (data, { chunk, ...options }) => {
    const pictures = [];
    const chunks = chunksOf(data, chunk);
    const fed = function* () {
      for (const part of chunks) (pictures.push(null), yield part);
    };
    for await (const picture of web.decodeStream(fed(), options)) pictures[pictures.length - 1] = answerOf(picture);
    return { pictures };
  },
  // The images of an archive; pictures of those that are asked for, and what becomes of the others.
  archive: async (data, { names, ...options }) => {
    const archive = await web.openArchive(data), before = kept;
    const decode = (name) => archive.decode(name, options).then(answerOf, (error) => error.name);
    const pictures = [];
    for (const name of names) pictures.push(await decode(name));
    archive.close();
    return { images: archive.images, pictures, missing: await decode("none"), closed: await decode(names[0]), kept: kept - before };
  },
  // A picture file, or samples of 8 or 16 bits of an image that is described: the file, what was reported, and how many encoders are kept.
  encode: async (data, { pixels, ...options }) => {
    const reports = [];
    const samples = pixels?.bits > 8 ? new Uint16Array(new Uint8Array(data).buffer) : data;
    const file = await web.encode(pixels ? { ...pixels, data: samples } : data, options, (progress) => reports.push(progress));
    return { file: Buffer.from(file).toString("base64"), reports, kept };
  },
  read: async (data) => {
    const { jpeg, ...picture } = await web.readPicture(data);
    return jpeg ? { ...picture, jpeg: text(jpeg) } : { ...picture, data: text(bytesOf(picture.data)), bits: 8 * picture.data.BYTES_PER_ELEMENT, icc: text(picture.icc), exif: text(picture.exif), xmp: text(picture.xmp) };
  },
  // What encode rejects with if the first report aborts it, and how many encoders are kept.
  interrupted: async (data, options) => {
    const controller = new AbortController();
    const error = await web.encode(data, { ...options, signal: controller.signal }, () => controller.abort(new Error("stop"))).catch((error) => error);
    return { message: error.message, kept };
  },
  models: async () => ({ models: models() }),
  abort: async (data, options) => answerOf(await web.decode(data, { ...options, signal: AbortSignal.abort(new Error("stop")) })),
  // A preview that is aborted once there is a decoder: what it rejects with, and how many decoders are kept.
  aborted: async (data, options) => {
    const last = decoders;
    const throwIfAborted = () => {
      if (decoders > last) throw new Error("stop");
    };
    const signal = { aborted: false, throwIfAborted, addEventListener() {}, removeEventListener() {} };
    const error = await web.decode(data, { ...options, partial: true, signal }).catch((error) => error);
    return { message: error.message, kept };
  },
  // decodeStream of a stream that stops in the middle, and is aborted: what it rejects with, and the stream is cancelled with.
  stall: async (data) => {
    const controller = new AbortController();
    let cancelled = false;
    const start = (stream) => stream.enqueue(data.subarray(0, data.length / 2));
    const stream = new ReadableStream({ start, cancel: () => void (cancelled = true) });
    setTimeout(() => controller.abort(new Error("stop")));
    const error = await lastOf(web.decodeStream(stream, { signal: controller.signal })).catch((error) => error);
    return { message: error.message, cancelled };
  },
  // A preview, which a timer aborts, on a machine where everything takes 20 milliseconds.
  timer: async (data) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("stop")));
    let time = performance.now();
    performance.now = () => (time += 20);
    try {
      return answerOf(await web.decode(data.subarray(0, data.length / 10), { partial: true, signal: controller.signal }));
    } finally {
      delete performance.now;
    }
  },
  // decode, aborted while a server does not answer.
  silence: async (data) => {
    const server = createServer(() => {}).listen(0, "127.0.0.1");
    await once(server, "listening");
    const controller = new AbortController();
    server.on("request", () => controller.abort(new Error("stop")));
    const base = `http://127.0.0.1:${server.address().port}/`;
    try {
      return await web.decode(data, { base, signal: controller.signal });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
  // How many pictures there are of a stream whose bytes have all arrived, and of other sources; what is no source.
  sources: async (data) => {
    const read = (source) => lastOf(web.decodeStream(source)).catch((error) => `${error.name}: ${error.message}`);
    const missing = Object.defineProperty(new Response("", { status: 404 }), "url", { value: "http://x/y.ddpm" });
    const found = {
      stream: ReadableStream.from(chunksOf(data, 1000)), bytes: new Uint8Array(data), buffer: new Uint8Array(data).buffer, blob: new Blob([data]),
      response: new Response(data), empty: new Response(null), missing, nothing: undefined, number: 7,
    }; // prettier-ignore
    for (const name in found) found[name] = await read(found[name]);
    return found;
  },
  // decodeStream of a file whose model is fetched from nowhere: its error, and how many decoders are kept.
  unfetched: async (data) => {
    const error = await lastOf(web.decodeStream([data], { base: "http://127.0.0.1:9/" })).catch((error) => error);
    return { error: error.name, kept };
  },
  // The same of bytes that follow the end.
  following: async (data) => {
    const error = await lastOf(web.decodeStream([data, new Uint8Array(1)])).catch((error) => error);
    return { error: error.name, kept };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { operation, data, model, rgba, ...options } = JSON.parse(line);
  if (model) options.model = await readFile(model);
  if (rgba) options.jpeg = () => Uint8Array.from(Buffer.from(rgba, "base64"));
  let answer;
  try {
    answer = await operations[operation](Buffer.from(data, "base64"), options);
  } catch (error) {
    answer = { error: error.name, message: error.message, own: error instanceof web.DdpmError };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
