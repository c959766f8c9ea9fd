// A worker of tiles.js: after the bytes of a file it gets boxes, and answers with their exact pixels, or none.

import { decode, info } from "./index.js";

let file;

onmessage = async ({ data }) => {
  if (!data.box) {
    file = data;
    return postMessage(await info(file.data, file.options)); // now the core is there
  }
  const picture = await decode(file.data, { ...file.options, ...data }).catch(() => null);
  const pixels = picture?.exact ? picture.data : new Uint8Array(0);
  postMessage(pixels, [pixels.buffer]);
};
