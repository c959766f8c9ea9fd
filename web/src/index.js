// Decodes .ddpm files in a browser, or in Node.js. Types and documentation: index.d.ts; docs/web.md.

export { decode, info, toRGBA } from "./decode.js";
export { ProgressiveDecoder, decodeStream } from "./progressive.js";
export { ChecksumError, CorruptError, DdpmError, FormatError, ImageError, ModelError, TruncatedError } from "./errors.js";
