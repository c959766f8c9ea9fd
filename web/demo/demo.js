// The page: a slider over the steps of a file, whose pictures a worker decodes; JPEG and WebP of the same bytes beside them.

import { acceptPictures } from "./own.js";

const ARRIVING = 350; // milliseconds a step, where the file arrives by itself

const element = (id) => document.getElementById(id);
const slider = element("slider");
const pictures = []; // by step, as they are decoded
const number = new Intl.NumberFormat("en");
let steps = []; // of rates.json: { bytes, jpeg, webp }; of both { file, bytes, psnr }, or null where none is so small
let timer = null;

function fail(message) {
  element("problem").textContent = `${message}. Reload the page to try again.`;
  element("problem").hidden = false;
  element("progress").hidden = true;
}

/** dB over red, green and blue; Infinity where nothing differs. */
function psnr(a, b) {
  let squares = 0;
  for (let k = 0; k < a.length; k++) if (k % 4 !== 3) squares += (a[k] - b[k]) ** 2;
  return 10 * Math.log10((255 ** 2 * 0.75 * a.length) / squares);
}

function quality(db) {
  return db === null || db === Infinity ? "exact" : `${db.toFixed(1)} dB`;
}

function factsOfPicture(step) {
  const picture = pictures[step];
  const original = pictures[steps.length - 1];
  if (!picture) return "is still decoding";
  const bytes = `${number.format(steps[step].bytes)} bytes`;
  return original ? `${bytes}, ${quality(psnr(picture.rgba, original.rgba))}` : bytes;
}

function showPicture(step) {
  const canvas = element("ddpm");
  const picture = pictures[Math.min(step, pictures.length - 1)]; // they come in order
  if (picture) {
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.getContext("2d").putImageData(new ImageData(picture.rgba, picture.width, picture.height), 0, 0);
  }
  const facts = factsOfPicture(step);
  element("ddpm-facts").textContent = facts;
  canvas.setAttribute("aria-label", `The photograph by ddpmcodec: ${facts}`);
  return facts;
}

function showOther(name, label, step) {
  const own = steps[step][name];
  const image = element(name);
  const facts = own ? `${number.format(own.bytes)} bytes, ${quality(own.psnr)}` : "no file is so small";
  image.hidden = !own;
  if (own) [image.src, image.alt] = [own.file, `The photograph by ${label}: ${facts}`];
  element(`${name}-facts`).textContent = facts;
  return `${label} ${facts}`;
}

function show(step) {
  const { bytes } = steps[step];
  const share = Math.round((100 * bytes) / steps.at(-1).bytes);
  element("amount").textContent = `${number.format(bytes)} bytes, ${share}%`;
  const all = [`ddpmcodec ${showPicture(step)}`, showOther("jpeg", "JPEG", step), showOther("webp", "WebP", step)];
  slider.setAttribute("aria-valuetext", `${number.format(bytes)} bytes, ${share}% of the file. ${all.join("; ")}.`);
}

function stop() {
  clearInterval(timer);
  timer = null;
  element("play").textContent = "Let it arrive";
}

function play() {
  if (timer) return stop();
  if (Number(slider.value) === steps.length - 1) slider.value = 0;
  element("play").textContent = "Stop";
  timer = setInterval(() => {
    if (!pictures[Number(slider.value) + 1]) return; // not decoded yet
    slider.value = Number(slider.value) + 1;
    show(Number(slider.value));
    if (Number(slider.value) === steps.length - 1) stop();
  }, ARRIVING);
  show(Number(slider.value));
}

function receive({ data }) {
  if (data.own) return; // of own.js
  if (data.problem) return fail(data.problem);
  const { step } = data;
  pictures[step] = data;
  const isLast = step === steps.length - 1;
  if (isLast || step === 0) element("progress").textContent = isLast ? "All of the file is decoded." : "Decoding …"; // read aloud
  const shown = Number(slider.value);
  if (isLast || shown >= step) show(shown);
}

async function start() {
  const worker = new Worker("worker.js", { type: "module" }); // loads its modules meanwhile
  worker.addEventListener("message", receive);
  worker.addEventListener("error", (event) => fail(event.message || "the worker cannot be started"));
  acceptPictures(worker);
  const response = await fetch("rates.json");
  if (!response.ok) throw new Error(`rates.json: HTTP ${response.status}`);
  steps = await response.json();
  slider.max = steps.length - 1;
  slider.value = steps.findIndex((own) => own.jpeg) + 2; // the first at which there is something to compare
  slider.disabled = element("play").disabled = false;
  slider.addEventListener("input", () => (stop(), show(Number(slider.value))));
  element("play").addEventListener("click", play);
  element("controls").addEventListener("submit", (event) => event.preventDefault());
  show(Number(slider.value));
  worker.postMessage({ url: new URL("photo.ddpm", location.href).href, ends: steps.map((own) => own.bytes) });
}

start().catch((error) => fail(error.message));
