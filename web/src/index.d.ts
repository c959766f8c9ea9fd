/** Codec of .ddpm images, and decoder of .ddpma archives. It runs where it is called: in a page, call it from a Worker. For TypeScript 5.7 or later. */

export type Bytes = ArrayBuffer | ArrayBufferView;

/** A part of an image, in pixels as they are stored, before `orientation`. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Pixels, and how much of the image they show. */
export interface Picture {
  width: number;
  height: number;
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. */
  channels: 1 | 2 | 3 | 4;
  /** Samples [height][width][channels]. */
  data: Uint8Array<ArrayBuffer>;
  /** As Pillow calls them; "1" is bilevel, as grey levels 0 and 255. Previews and reduced images of it are "L". */
  mode: "L" | "RGB" | "LA" | "RGBA" | "1";
  /**
   * The pixels are what was encoded: all that they need was there, and its checks passed. Of a JPEG file, the file is
   * what was encoded, and decoders of JPEG may differ.
   */
  exact: boolean;
  /** The file states that it was cut on purpose. */
  lossy: boolean;
  /** A check failed: some of it is not what was encoded, or is left out. */
  damaged: boolean;
  /** Steps of the coding schedule that every pixel has been through, of `steps`. */
  stepsDone: number;
  steps: number;
  /** As EXIF counts them, 1 to 8: 1 is upright. Pixels are as they were stored. */
  orientation: number;
  /** Empty if the file has none, or a prefix does not hold it. */
  icc: Uint8Array<ArrayBuffer>;
  exif: Uint8Array<ArrayBuffer>;
  xmp: Uint8Array<ArrayBuffer>;
}

export interface Options {
  /**
   * The folder of ddpmcodec.wasm, tile-worker.js and the models; default: that of this module. A worker made of a blob and a
   * script that was bundled need it.
   */
  base?: string | URL;
  /**
   * The bytes of a model file, for files whose model is not in the folder of this module. Give the same object with each
   * file, and leave its bytes as they are: then it is loaded once.
   */
  model?: Bytes;
  /** A file is refused if tiles of more pixels must be decoded, before anything of its size is made; default: 2^26. */
  maxPixels?: number;
  /** A part of the image; default: all of it. Of a tiled file only the tiles that it touches are decoded. */
  box?: Box;
  /** The picture has 1/reduce of the size, rounded up. It needs a part of the bytes, and of the time; default: 1. */
  reduce?: 1 | 2 | 4 | 8 | 16;
  /**
   * Ends the work: whatever is computed, fetched or awaited, it rejects at once with the signal's reason, and
   * `decodeStream` cancels its source.
   */
  signal?: AbortSignal;
  /** Decodes a JPEG file, which has no EXIF that turns it; default: the browser. Node.js has no decoder. */
  jpeg?: ImageFunction;
}

/** Decodes a JPEG file to RGBA, 4 bytes a pixel, without colour management. */
export type ImageFunction = (data: Uint8Array, width: number, height: number) => Promise<Uint8Array> | Uint8Array;

export interface DecodeOptions extends Options {
  /** Accept any prefix that holds the header; of a damaged file show what precedes the damage. */
  partial?: boolean;
  /** A preview from so many bytes only; implies `partial`. */
  maxBytes?: number;
  /**
   * How many threads decode tiles of a file at a time, the caller's among them; default: 1. Each other one is a worker, with a core,
   * a model and the bytes of the file. A page that has no workers, or forbids them, decodes in one thread. Previews, reduced images
   * and JPEG files are decoded in one thread, too.
   */
  workers?: number;
}

/**
 * The image, exactly as it was encoded; or a preview.
 *
 * @throws TruncatedError: bytes are missing, and no preview is asked for.
 * @throws ChecksumError, CorruptError: the data is damaged.
 * @throws FormatError: not a .ddpm file, or another version of the format. The three above derive from it.
 * @throws ImageError: more than `maxPixels`, or more than there is memory for; a box that is not in the image.
 * @throws DdpmError: an unknown `reduce`.
 * @throws ModelError: the decoder or the model cannot be fetched, or is not the one the file was written with.
 */
export function decode(data: Bytes, options?: DecodeOptions): Promise<Picture>;

/** A Response of `fetch`, its body or another stream, a Blob, bytes, or an iterable of chunks of bytes. */
export type Source = { body: ReadableStream<Uint8Array> | null } | ReadableStream<Bytes> | Blob | Bytes | AsyncIterable<Bytes> | Iterable<Bytes>;

/**
 * Pictures while the bytes arrive, each better than the last; the last one is the image. Of a stream, a picture shows all
 * that has arrived when it is begun; of an iterable, there is at most one after each chunk.
 *
 * Throws what `decode` does, and DdpmError of a Response that is not ok.
 *
 *     for await (const picture of decodeStream(await fetch("photo.ddpm"))) show(picture);
 */
export function decodeStream(source: Source, options?: Options): AsyncGenerator<Picture, void, undefined>;

export interface Info {
  width: number;
  height: number;
  mode: Picture["mode"];
  effort: number;
  levels: number;
  steps: number;
  orientation: number;
  tiles: number;
  /** The number of a model, or the first four bytes of its id in hexadecimal digits. */
  model: number | string;
  /** What is coded: pixels, or the coefficients of a JPEG file. */
  kind: "pixels" | "coefficients";
  lossy: boolean;
  headerBytes: number;
  /** Bytes that the header declares and the data does not have. */
  missing: number;
}

/** The header of a file, without decoding. Of a prefix, once the header is there: TruncatedError before. */
export function info(data: Bytes, options?: Pick<Options, "base" | "signal">): Promise<Info>;

/** An image of an archive. */
export interface ArchivedImage {
  name: string;
  width: number;
  height: number;
  mode: Picture["mode"];
  /** Of its file; null of an image that is coded together with others. */
  bytes: number | null;
}

export interface Archive {
  /** In the order in which they were given to the encoder. */
  readonly images: readonly ArchivedImage[];
  /**
   * Throws what the function `decode` does, and DdpmError for a name that is not there. Images that are coded together are
   * decoded once, as long as neighbours follow each other.
   */
  decode(name: string, options?: Omit<Options, "base"> & { partial?: boolean }): Promise<Picture>;
  /** Frees its memory. */
  close(): void;
}

/** Opens a .ddpma archive, whose bytes it copies. Throws what `decode` does of data that is no archive. */
export function openArchive(data: Bytes, options?: Pick<Options, "base" | "signal">): Promise<Archive>;

/** 4 bytes a pixel, for `new ImageData(toRGBA(picture), picture.width, picture.height)`. */
export function toRGBA(picture: Pick<Picture, "width" | "height" | "channels" | "data">): Uint8ClampedArray<ArrayBuffer>;

// --- encoding

/** Samples of an image, as they are stored. A `Picture` and an `ImageData` are such, though alpha of a canvas was premultiplied. */
export interface Pixels {
  width: number;
  height: number;
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; default: as many as the samples make. */
  channels?: 1 | 2 | 3 | 4;
  /** [height][width][channels], alpha not premultiplied. */
  data: Uint8Array | Uint8ClampedArray | Uint16Array;
  /** Default: that of the channels. "1" has grey levels 0 and 255 alone. */
  mode?: Picture["mode"];
  /** Of a sample of a Uint16Array, 8 to 16; default: 16. */
  bits?: number;
  /** Default: that of the EXIF, or 1. */
  orientation?: number;
  icc?: Bytes;
  exif?: Bytes;
  xmp?: Bytes;
}

/** What `readPicture` finds in a picture file: the file itself if it is a JPEG, otherwise its pixels. */
export type PictureFile =
  { format: "JPEG"; jpeg: Uint8Array; lost: string[] } | (Required<Pick<Pixels, "channels" | "mode">> & Pixels & { format: "PNG" | "WebP"; lost: string[] });

/**
 * Reads a JPEG, PNG or WebP file. The samples of a PNG are read from the file, whatever the browser, also those of 16 bits. A WebP is
 * decoded by the browser, without colour management or premultiplied alpha, if it decodes a known picture exactly; Node.js decodes none.
 * `lost` names what is in the file and not in the result, such as chunks of a PNG.
 *
 * @throws ImageError: an animation, a file of another format, or a browser that changes pixels. Save the picture as PNG.
 * @throws TruncatedError, CorruptError: the file is damaged.
 */
export function readPicture(source: Source, options?: Pick<Options, "signal">): Promise<PictureFile>;

export interface EncodeOptions extends Pick<Options, "base" | "model" | "signal"> {
  /** 0 (fastest) to 3 (smallest file); default: 2. */
  effort?: 0 | 1 | 2 | 3;
  /** Noise levels before exact pixels; of a JPEG, of its cells at most. Default: 1, but 0 for graphics and at effort 0. */
  levels?: 0 | 1 | 2 | 5;
  /** The side of square tiles, a multiple of 16 from 64 to 1024; default: tiles of at most 2^19 pixels. */
  tile?: number;
  /** Decode the file and compare it with the image, which takes half of the time; default: true. */
  verify?: boolean;
}

/**
 * The .ddpm file of an image: the same bytes as every other encoder writes. Of a JPEG file, coefficients are coded, and the file comes
 * back byte for byte; of all others, pixels.
 *
 * @param source Pixels, what `readPicture` returned, or a picture file that it reads.
 * @param onProgress Gets the share of the work that is done, up to 1, about twenty times a second.
 * @throws What `readPicture` throws; FormatError, TruncatedError or CorruptError: a JPEG file whose coefficients cannot be coded, or that is damaged.
 * @throws ImageError: more pixels or metadata than a file holds, or than there is memory for.
 * @throws DdpmError: unknown options, or samples that are not those of the sizes.
 * @throws ModelError: the core or the model cannot be fetched.
 */
export function encode(source: Pixels | PictureFile | Source, options?: EncodeOptions, onProgress?: (share: number) => void): Promise<Uint8Array<ArrayBuffer>>;

/** Fetches the core and all embedded models, so that a page can decode and encode when it is offline. */
export function prefetch(options?: Pick<Options, "base" | "signal">): Promise<void>;

/** Base of all errors raised on purpose: states the subject, the requirement, and what to do about it. */
export class DdpmError extends Error {}
/** The image has more pixels than `maxPixels`, or takes more memory than there is, or does not contain the box. */
export class ImageError extends DdpmError {}
/** The data is not a .ddpm file or archive, or its structure contradicts itself. */
export class FormatError extends DdpmError {}
/** The data ends before the image does: ask for a preview, or get the rest. */
export class TruncatedError extends FormatError {}
/** The data decodes to something other than what was encoded. */
export class ChecksumError extends FormatError {}
/** The data is damaged: it does not decode to anything that an encoder writes. */
export class CorruptError extends FormatError {}
/** The model, or the decoder itself, cannot be fetched, is damaged, or is not the one the file was written with. */
export class ModelError extends DdpmError {}
