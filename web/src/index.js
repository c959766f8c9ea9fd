// Decodes .ddpm files and archives in a browser, or in Node.js. Types and documentation: index.d.ts; docs/web.md.

export { decode, info, openArchive, toRGBA } from "./decode.js";
export { ProgressiveDecoder, decodeStream } from "./progressive.js";
export * from "./errors.js";
