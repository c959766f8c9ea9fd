// The worker of img-ddpm.js: decodes the files of all elements of a page, and so loads a model once.

import { decodeStream } from "./index.js";

const running = new Map(); // AbortController by the element's number

onmessage = async ({ data: { id, url } }) => {
  running.get(id)?.abort();
  if (!url) return;
  const controller = new AbortController();
  const { signal } = controller;
  running.set(id, controller);
  try {
    const response = await fetch(url, { signal });
    if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
    for await (const picture of decodeStream(response, { signal })) postMessage({ id, url, picture }, [picture.data.buffer]);
    postMessage({ id, url, isComplete: true });
  } catch (error) {
    if (!signal.aborted) postMessage({ id, url, problem: `${error.name}: ${error.message}` });
  } finally {
    if (running.get(id) === controller) running.delete(id);
  }
};
