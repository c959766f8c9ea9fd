// Every error raised on purpose, by the names that Python's have. index.d.ts says when.

export class DdpmError extends Error {}
export class ImageError extends DdpmError {}
export class FormatError extends DdpmError {}
export class TruncatedError extends FormatError {}
export class ChecksumError extends FormatError {}
export class CorruptError extends FormatError {}
export class ModelError extends DdpmError {}

// Names of classes change when a bundler makes them short; keys do not.
const CLASSES = { DdpmError, ImageError, FormatError, TruncatedError, ChecksumError, CorruptError, ModelError };
for (const [name, Own] of Object.entries(CLASSES)) Object.defineProperty(Own.prototype, "name", { value: name });
