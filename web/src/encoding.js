// The encoding of one image: it runs the core's encoder, and gives it the models that it asks for.

import { DdpmError } from "./errors.js";
import { coreOf, modelOf, wrongModel } from "./folder.js";
import { readPicture } from "./pictures.js";
import { bytesOf, rest, unlessAborted } from "./sources.js";

const SLICE = 0.05; // seconds after which the page gets its turn
const MODES = ["L", "RGB", "LA", "RGBA", "1"]; // by their numbers in ddpm.h
const CHANNELS = { L: 1, RGB: 3, LA: 2, RGBA: 4, 1: 1 };
const NONE = new Uint8Array(0);

export async function encode(source, options = {}, onProgress = () => {}) {
  const { effort, levels, tile, verify = true, base, signal } = options;
  signal?.throwIfAborted();
  const [core, picture] = await unlessAborted(Promise.all([coreOf(base), readPicture(source)]), signal);
  const { encoder } = core.call("web_encoder", effort, levels, tile, verify);
  try {
    give(core, encoder, picture);
    if (options.model) core.call("web_set_encoders_model", encoder, core.model(options.model, bytesOf(options.model)));
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

function give(core, encoder, picture) {
  if (picture.jpeg) return core.call("web_set_file", encoder, picture.jpeg);
  const { width, height, channels, data, orientation, icc = NONE, exif = NONE, xmp = NONE } = picture;
  const mode = picture.mode ?? MODES.find((own) => CHANNELS[own] === channels);
  if (CHANNELS[mode] !== channels) throw new DdpmError(`a picture of mode ${mode} and ${channels} channels cannot be: give 1 (L), 2 (LA), 3 (RGB) or 4 (RGBA)`);
  if (data.length !== width * height * channels) throw new DdpmError(`a picture of ${width} by ${height} pixels and ${channels} channels has ${width * height * channels} samples, not ${data.length}`);
  const bits = data instanceof Uint16Array ? (picture.bits ?? 16) : 8;
  core.call("web_set_picture", encoder, width, height, MODES.indexOf(mode), bits, orientation, bytesOf(data), bytesOf(icc), bytesOf(exif), bytesOf(xmp));
}

async function setModel(core, encoder, name, { base, signal }) {
  const data = await unlessAborted(modelOf(name, base), signal);
  try {
    core.call("web_set_encoders_model", encoder, core.model(data, data));
  } catch (error) {
    throw wrongModel(name, base, error);
  }
}
