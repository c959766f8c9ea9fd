// Every error raised on purpose, by the names that Python's have.

/** Base of all errors raised on purpose: says what is wrong, where, and what to do about it. */
export class DdpmError extends Error {
  get name() {
    return "DdpmError";
  }
}

/** The image claims more pixels than `maxPixels`, or takes more memory than there is. */
export class ImageError extends DdpmError {
  get name() {
    return "ImageError";
  }
}

/** The data is not a .ddpm file, or its structure contradicts itself. */
export class FormatError extends DdpmError {
  get name() {
    return "FormatError";
  }
}

/** The data ends before the image does: ask for a preview, or get the rest. */
export class TruncatedError extends FormatError {
  get name() {
    return "TruncatedError";
  }
}

/** The data decodes to something other than what was encoded. */
export class ChecksumError extends FormatError {
  get name() {
    return "ChecksumError";
  }
}

/** The data is damaged: it does not decode to anything that an encoder writes. */
export class CorruptError extends FormatError {
  get name() {
    return "CorruptError";
  }
}

/** The model, or the decoder itself, cannot be fetched, is damaged, or is not the one the file was written with. */
export class ModelError extends DdpmError {
  get name() {
    return "ModelError";
  }
}
