// Pictures of the user's, which the page's worker encodes.

const element = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const UNMANAGED = "without colour management or premultiplied alpha";
const HOW = {
  JPEG: "The bytes of the JPEG file were coded, and come back as they were.",
  PNG: `The pixels were coded, which this page read from the PNG itself, ${UNMANAGED}. They come back with ICC profile, EXIF and XMP, though not as the same PNG file.`,
  WebP: `The pixels were coded as this browser decodes them, ${UNMANAGED}, which was checked by a known picture. They come back with ICC profile, EXIF and XMP, though not as the same WebP file.`,
};

let picture = null; // the file that is encoded

function choose(worker, file) {
  if (!file) return;
  picture = file;
  for (const id of ["refusal", "result"]) element(id).hidden = true;
  for (const id of ["share", "cancel"]) element(id).hidden = false;
  element("share").removeAttribute("value");
  element("encoding").textContent = `Encoding ${file.name} …`;
  worker.postMessage({ file, effort: Number(element("effort").value) });
}

function end(text) {
  for (const id of ["share", "cancel"]) element(id).hidden = true;
  element("encoding").textContent = text;
}

function refuse(problem) {
  end("");
  element("refusal").textContent = `${picture.name}: ${problem}.`;
  element("refusal").hidden = false;
}

function offer({ bytes, format, bits, lost, seconds }) {
  const name = `${picture.name.replace(/\.[^.]*$/, "")}.ddpm`;
  const share = Math.round((100 * bytes.length) / picture.size);
  end(`${name}: ${number.format(bytes.length)} bytes, ${share}% of the ${format} file, in ${seconds.toFixed(1)} s. It was decoded again, and is exact.`);
  const link = element("save");
  URL.revokeObjectURL(link.href);
  [link.href, link.download, link.textContent] = [URL.createObjectURL(new Blob([bytes])), name, `Save ${name}`];
  element("how").textContent = [HOW[format], bits > 8 ? `${bits} bits a sample were kept.` : "", lost.length ? `Not kept: ${lost.join(", ")}.` : ""].join(" ");
  element("result").hidden = false;
}

function receive({ data: { own } }) {
  if (!own) return; // of demo.js
  if (own.isOffline) element("offline").textContent = "is encoded here, also when you are offline";
  if (own.share !== undefined) element("share").value = own.share;
  if (own.problem) refuse(own.problem);
  if (own.bytes) offer(own);
}

export function acceptPictures(worker) {
  worker.addEventListener("message", receive);
  element("file").addEventListener("change", ({ target }) => choose(worker, target.files[0]));
  element("effort").addEventListener("change", () => choose(worker, picture));
  element("cancel").addEventListener("click", () => (worker.postMessage({}), end(`${picture.name} was not encoded.`)));
  element("encoder").addEventListener("submit", (event) => event.preventDefault());
  const mark = (isOver) => (event) => (event.preventDefault(), document.body.classList.toggle("dragged", isOver));
  document.addEventListener("dragover", mark(true));
  document.addEventListener("dragleave", mark(false));
  document.addEventListener("drop", (event) => (mark(false)(event), choose(worker, event.dataTransfer.files[0])));
}
