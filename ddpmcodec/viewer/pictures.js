// Pictures for the page: asked for, kept, and those that are not here yet.

const PAUSE = 120; // milliseconds between two questions whether work is done
const KEPT_BYTES = 2 ** 28; // of pictures, of all files
const AHEAD_BYTES = 2 ** 27; // of a file's pictures, until which more are fetched ahead
const page = Math.random().toString(36).slice(2); // this page's earlier requests make way for its latest
const kept = new Map(); // pictures by `nameOf`, the oldest first

const pause = () => new Promise((done) => setTimeout(done, PAUSE));

/** The answer once the work is done; null when `wanted()` no longer holds. */
export async function ask(url, wanted, onProgress) {
  for (;;) {
    const response = await fetch(url).catch(() => { throw new Error("The viewer has ended: run ddpmcodec view again."); });
    if (!wanted()) return null;
    if (!response.ok) throw new Error(await response.text());
    if (response.status !== 202) return response;
    onProgress((await response.json()).progress);
    await pause();
  }
}

/** The original is the same at all positions. */
const nameOf = (file, kind, position) => `${file.number}/${kind}/${kind === "original" ? 0 : position}`;

/** The picture that is kept of this position, or of the nearest one. */
export function nearest(file, kind, position) {
  for (let away = 0; away < file.sizes.length; away++) {
    const picture = kept.get(nameOf(file, kind, position - away)) ?? kept.get(nameOf(file, kind, position + away));
    if (picture) return picture;
  }
  return null;
}

/** Whether it is here with its PSNR; there is none before the original is known. */
export function isKept(file, kind, position) {
  const picture = kept.get(nameOf(file, kind, position));
  return Boolean(picture) && !(picture.facts.same === null && file.original);
}

/** Ask for a picture, and keep it. Null when `wanted()` no longer holds. option: of the request. */
export async function bring(file, kind, position, wanted, onProgress, option = "") {
  const bytes = kind === "original" ? 0 : file.sizes[position];
  const answer = await ask(`files/${file.number}/${kind}?bytes=${bytes}&page=${page}${option}`, wanted, onProgress);
  if (!answer) return null;
  const content = await answer.blob();
  const facts = JSON.parse(answer.headers.get("Ddpmcodec-Facts"));
  const picture = { file, bytes, facts, size: content.size, url: URL.createObjectURL(content) };
  keep(nameOf(file, kind, position), picture);
  return wanted() ? picture : null;
}

const bytesKept = (pictures) => pictures.reduce((sum, { size }) => sum + size, 0);

/** Keep a picture. Where there is no room the oldest make way, those of other files first. */
function keep(name, picture) {
  giveUp(name);
  kept.set(name, picture);
  let excess = bytesKept([...kept.values()]) - KEPT_BYTES;
  const oldest = [...kept].sort(([, a], [, b]) => (a.file === picture.file) - (b.file === picture.file));
  for (const [other, { size }] of oldest.slice(0, -1)) { // the last one is the newest
    if (excess <= 0) break;
    giveUp(other);
    excess -= size;
  }
}

function giveUp(name) {
  URL.revokeObjectURL(kept.get(name)?.url);
  kept.delete(name);
}

/** Kind and position of the first picture that is not here, from coarse to fine: ends, middle, quarters, eighths. Null
 * where all are, or there is no room for more of this file. */
export function missing(file, kinds) {
  const last = file.sizes.length - 1;
  if (bytesKept([...kept.values()].filter((picture) => picture.file === file)) >= AHEAD_BYTES) return null;
  for (let parts = 1; parts < 2 * file.sizes.length; parts *= 2) {
    for (let part = 0; part <= parts; part++) {
      const position = Math.round((part * last) / parts);
      for (const kind of kinds) if (!isKept(file, kind, position)) return [kind, position];
    }
  }
  return null;
}
