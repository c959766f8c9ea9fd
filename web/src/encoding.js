// The encoding of one image: it runs the core's encoder, and gives it the models that it asks for.

import { DdpmError } from "./errors.js";
import { coreOf, modelOf, wrongModel } from "./folder.js";
import { readPicture } from "./pictures.js";
import { bytesOf, rest, unlessAborted } from "./sources.js";

const SLICE = 0.05; // seconds after which the page gets its turn
const MODES = ["L", "RGB", "LA", "RGBA", "1"]; // by their numbers in ddpm.h
const CHANNELS = [1, 3, 2, 4, 1]; // of modes
const NONE = new Uint8Array(0);

export async function encode(source, options = {}, onProgress = () => {}) {
  const { effort, levels, tile, verify = true, model: own, base, signal } = options;
  signal?.throwIfAborted();
  const picture = source?.data || source?.jpeg ? source : await readPicture(source, options);
  const core = await unlessAborted(coreOf(base), signal);
  const { encoder } = core.call("web_encoder", effort, levels, tile, verify);
  try {
    setPicture(core, encoder, picture);
    if (own) core.call("web_set_encoders_model", encoder, core.model(own, bytesOf(own)));
    while (true) {
      signal?.throwIfAborted();
      const { event, model, progress } = core.call("web_encode", encoder, SLICE);
      if (event === "NEED_MODEL") await setModel(core, encoder, model, options);
      onProgress(progress);
      if (event === "DONE") return core.call("web_encoded", encoder).data;
      await rest();
    }
  } finally {
    core.free("ddpm_encoder_free", encoder);
  }
}

function setPicture(core, encoder, picture) {
  if (picture.jpeg) return core.call("web_set_file", encoder, bytesOf(picture.jpeg));
  const { width, height, data, bits, orientation, icc = NONE, exif = NONE, xmp = NONE } = picture;
  const channels = picture.channels ?? data.length / (width * height);
  const mode = picture.mode ? MODES.indexOf(picture.mode) : CHANNELS.indexOf(channels);
  if (CHANNELS[mode] !== channels) throw new DdpmError(`pixels must have 1 channel (L, 1), 2 (LA), 3 (RGB) or 4 (RGBA), not ${channels} (${picture.mode})`);
  if (!(data instanceof Uint16Array) && data.BYTES_PER_ELEMENT !== 1) throw new DdpmError("pixels must be a Uint8Array, a Uint8ClampedArray or a Uint16Array");
  const samples = width * height * channels;
  if (data.length !== samples) throw new DdpmError(`${width} x ${height} pixels of ${channels} channels must have ${samples} samples, not ${data.length}`);
  const depth = data instanceof Uint16Array ? (bits ?? 16) : 8;
  core.call("web_set_picture", encoder, width, height, mode, depth, orientation, bytesOf(data), ...[icc, exif, xmp].map(bytesOf));
}

export async function prefetch({ base, signal } = {}) {
  const core = await unlessAborted(coreOf(base), signal);
  await unlessAborted(Promise.all(core.call("web_models").names.map((name) => modelOf(name, base))), signal);
}

/** name: of a model in the folder. */
async function setModel(core, encoder, name, { base, signal }) {
  const data = await unlessAborted(modelOf(name, base), signal);
  try {
    core.call("web_set_encoders_model", encoder, core.model(data, data));
  } catch (error) {
    throw wrongModel(name, base, error);
  }
}
