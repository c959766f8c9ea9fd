// Every error raised on purpose, by the names that Python's have.

/** Base of all errors raised on purpose: states the subject, the requirement, and what to do about it. */
export class DdpmError extends Error {}
/** The image has more pixels than `maxPixels`, or takes more memory than there is, or does not contain the box. */
export class ImageError extends DdpmError {}
/** The data is not a .ddpm file, or its structure contradicts itself. */
export class FormatError extends DdpmError {}
/** The data ends before the image does: ask for a preview, or get the rest. */
export class TruncatedError extends FormatError {}
/** The data decodes to something other than what was encoded. */
export class ChecksumError extends FormatError {}
/** The data is damaged: it does not decode to anything that an encoder writes. */
export class CorruptError extends FormatError {}
/** The model, or the decoder itself, cannot be fetched, is damaged, or is not the one the file was written with. */
export class ModelError extends DdpmError {}

// Names of classes change when a bundler makes them short; keys do not.
const CLASSES = { DdpmError, ImageError, FormatError, TruncatedError, ChecksumError, CorruptError, ModelError };
for (const [name, Own] of Object.entries(CLASSES)) Object.defineProperty(Own.prototype, "name", { value: name });
