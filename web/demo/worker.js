// Decodes a file as its bytes arrive, beside the page: a picture for each better preview. Then it encodes pictures of the user's.

import { decodeStream, encode, prefetch, readPicture, toRGBA } from "../index.js";

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

async function show({ url, ends }) {
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
  await prefetch().then(
    () => postMessage({ own: { isOffline: true } }),
    () => {},
  ); // encode fetches what is missing
}

let current = new AbortController();

/** file: in place of one before; none: that one ends. */
async function encodeOwn({ file, effort }) {
  current.abort();
  const { signal } = (current = new AbortController());
  if (!file) return;
  const send = (own, transfer = []) => signal.aborted || postMessage({ own }, transfer);
  try {
    const start = performance.now();
    const { data, jpeg, ...facts } = await readPicture(file, { signal });
    const bytes = await encode({ ...facts, data, jpeg }, { effort, signal }, (share) => send({ share }));
    const [bits, seconds] = [8 * (data?.BYTES_PER_ELEMENT ?? 1), (performance.now() - start) / 1000];
    send({ bytes, format: facts.format, lost: facts.lost, bits, seconds }, [bytes.buffer]);
  } catch (error) {
    send({ problem: error.message });
  }
}

onmessage = ({ data }) => (data.url ? show(data) : encodeOwn(data));
