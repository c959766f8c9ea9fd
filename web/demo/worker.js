// Decodes a file as its bytes arrive, beside the page: a picture for each better preview.

import { decodeStream, toRGBA } from "../index.js";

/** The bytes up to each of these ends, as they arrive. */
async function* pieces(response, ends) {
  const reader = response.body.getReader();
  let rest = new Uint8Array(0);
  let start = 0;
  for (const end of ends) {
    while (rest.length < end - start) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`the file ends after ${start + rest.length} bytes`);
      const joined = new Uint8Array(rest.length + value.length);
      joined.set(rest);
      joined.set(value, rest.length);
      rest = joined;
    }
    yield rest.subarray(0, end - start);
    rest = rest.subarray(end - start);
    start = end;
  }
}

onmessage = async ({ data: { url, ends } }) => {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
    let step = 0;
    for await (const picture of decodeStream(pieces(response, ends))) {
      const rgba = toRGBA(picture);
      const { width, height, exact } = picture;
      postMessage({ step: step++, width, height, exact, rgba }, [rgba.buffer]);
    }
  } catch (error) {
    postMessage({ problem: `${error.name}: ${error.message}` });
  }
};
