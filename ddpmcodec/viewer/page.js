// The page of `ddpmcodec view`. What files are called reaches the page as text alone (textContent), never as HTML.

import { $, drawMap, drawPosition, drawTicks, grouped, small } from "./map.js";
import { ask, bring, isKept, missing, nearest } from "./pictures.js";

const TITLES = { preview: "ddpmcodec", original: "Original", jpeg: "JPEG", webp: "WebP" };
const KEYS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
const PANS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }; // with Shift, at actual size
const PAN = 0.2; // of what is seen
const decibels = (facts) => (facts.same ? "no error" : facts.psnr === null ? "–" : `${facts.psnr.toFixed(2)} dB`);

const files = new Map(); // by number: facts, position of the slider, and the map once it is known
const panels = new Map(); // by kind
let current = null;
let ahead = null; // the work on the pictures that are fetched before anybody asks for them
let actual = false; // size

function fail(error) {
  $("error").textContent = error.message;
  $("error").hidden = false;
}

// --- pictures

function panel(kind) {
  const figure = $("panel").content.cloneNode(true).firstElementChild;
  const [image, view] = [figure.querySelector("img"), figure.querySelector(".window")];
  figure.dataset.kind = kind;
  figure.style.order = Object.keys(TITLES).indexOf(kind);
  figure.querySelector("b").textContent = TITLES[kind];
  image.addEventListener("click", (event) => zoom(!actual, event));
  view.addEventListener("scroll", () => scrollAlike(view));
  panels.set(kind, { figure, image, view, bar: figure.querySelector("progress"), asked: 0 });
  return figure;
}

/** Show the nearest picture that is kept. Where that is another position's, ask for the right one and show it, unless
 * another one of this kind is asked for meanwhile. */
async function show(kind) {
  const shown = panels.get(kind);
  if (!shown) return;
  const [file, position, number] = [current, current.position, ++shown.asked];
  const wanted = () => panels.get(kind) === shown && shown.asked === number;
  const near = nearest(file, kind, position);
  if (near) display(kind, near);
  try {
    if (!isKept(file, kind, position)) {
      ahead = null;
      const picture = await bring(file, kind, position, wanted, (progress) => {
        shown.bar.hidden = false;
        shown.bar.value = progress;
      });
      if (picture) display(kind, picture);
    }
  } catch (error) {
    if (wanted()) fail(error);
  }
  if (wanted()) shown.bar.hidden = true;
}

function display(kind, { url, bytes, facts }) {
  const { image, figure } = panels.get(kind);
  if (image.src !== url) image.src = url;
  image.alt = `${TITLES[kind]}, ${grouped(facts.bytes)} bytes`;
  figure.dataset.bytes = bytes;
  caption(kind, facts);
  if (kind === "preview") readout(facts);
}

/** Fetch what the slider may come to, until the user asks for something that is not here. */
async function fetchAhead(file) {
  if (ahead?.file === file || !file.stripes) return;
  const mine = (ahead = { file });
  const wanted = () => ahead === mine && file === current;
  const kinds = () => [...panels.keys()].filter((kind) => kind === "preview" || file.original);
  $("panels").dataset.ahead = "working";
  try {
    for (let next = missing(file, kinds()); next && wanted(); next = missing(file, kinds())) {
      await bring(file, ...next, wanted, () => {}, "&ahead=1");
    }
  } catch {
    // The error is shown when somebody asks for this picture.
  }
  if (!wanted()) return;
  ahead = null;
  $("panels").dataset.ahead = "done";
}

function caption(kind, facts) {
  const { figure } = panels.get(kind);
  const costs = [`${grouped(facts.bytes)} bytes`, `${facts.bpp.toFixed(3)} bpp`, ...(facts.same === null ? [] : [decibels(facts)])];
  const notes = [];
  if (facts.damaged) notes.push("damaged: get the file again");
  if (facts.fits === false) notes.push("its smallest file");
  if ("fits" in facts && current.mode.endsWith("A")) notes.push("without alpha");
  figure.querySelector(".cost").textContent = kind === "original" ? "" : costs.join(", ");
  figure.querySelector(".note").textContent = notes.join(", ");
  layOut(); // the caption may have another height
}

/** Captions of several lines, so that all pictures begin at one height. */
function alignCaptions() {
  const captions = [...panels.values()].map(({ figure }) => figure.querySelector("figcaption"));
  for (const each of captions) each.style.minHeight = "";
  const tallest = Math.max(...captions.map((each) => each.offsetHeight));
  for (const each of captions) each.style.minHeight = `${tallest}px`;
}

function readout(facts) {
  $("psnr").textContent = decibels(facts);
  const steps = current.steps ?? 1;
  $("steps").textContent = `${facts.steps_done} of ${steps}`;
  if (facts.exact) $("steps").append(small(" exact"));
}

/** The preview, and what stands beside it, which does not wait for it. */
async function refresh() {
  const [file, position] = [current, current.position];
  const stale = () => file !== current || position !== file.position;
  $("panels").setAttribute("aria-busy", true);
  const beside = async () => {
    for (const kind of panels.keys()) {
      if (kind !== "preview" && file.original && !stale()) await show(kind);
    }
  };
  await Promise.all([show("preview"), beside()]);
  if (stale()) return;
  $("panels").setAttribute("aria-busy", false);
  fetchAhead(file);
}

function layOut() {
  document.body.classList.toggle("actual", actual);
  alignCaptions();
  const column = getComputedStyle($("panels")).flexDirection === "column"; // grows with its pictures
  for (const { image, view } of panels.values()) {
    const fit = Math.min(view.clientWidth / current.width, column ? Infinity : view.clientHeight / current.height);
    const scale = actual ? 1 / devicePixelRatio : fit;
    image.style.width = `${current.width * scale}px`;
    image.style.height = `${current.height * scale}px`;
    image.style.imageRendering = scale >= 4 ? "pixelated" : "auto";
  }
}

function zoom(on, event) {
  actual = on;
  $("zoom").setAttribute("aria-pressed", on);
  layOut();
  if (!on || !event) return;
  const view = event.target.parentElement;
  const [across, down] = [event.offsetX / event.target.offsetWidth, event.offsetY / event.target.offsetHeight];
  view.scrollTo(across * view.scrollWidth - view.clientWidth / 2, down * view.scrollHeight - view.clientHeight / 2);
}

/** One step; the other pictures follow. */
function pan([across, down]) {
  const { view } = panels.get("preview");
  view.scrollBy(across * PAN * view.clientWidth, down * PAN * view.clientHeight);
}

function scrollAlike(view) {
  for (const other of panels.values()) if (other.view !== view) other.view.scrollTo(view.scrollLeft, view.scrollTop);
}

function toggle(kind, on) {
  document.querySelector(`[data-kind="${kind}"]`).setAttribute("aria-pressed", on);
  if (!on) {
    panels.get(kind)?.figure.remove();
    panels.delete(kind);
  } else if (!panels.has(kind)) {
    $("panels").append(panel(kind));
  }
  layOut();
}

// --- the slider

function move(position) {
  const bounded = Math.max(0, Math.min(current.sizes.length - 1, position));
  if (bounded === current.position) return;
  current.position = bounded;
  $("error").hidden = true;
  drawPosition(current);
  refresh();
}

async function readMap(file) {
  if (file.stripes) return;
  const wanted = () => file === current && !file.stripes;
  const answer = await ask(`files/${file.number}/map`, wanted, (progress) => {
    const text = document.createElement("span");
    text.textContent = `decoding the whole file for its map: ${Math.floor(100 * progress)}%`;
    $("map").replaceChildren(text);
  });
  if (!answer) return;
  Object.assign(file, await answer.json());
  if (file !== current) return;
  drawAbout();
  drawMap(current);
  allowComparisons();
  refresh();
}

// --- files

/** Only where there is an original: it is given, or the file is whole, and decoded by now. */
function allowComparisons() {
  const never = current.stripes && !current.original;
  const reason = never ? "The file is cut off or damaged: name its original with --original" : "The whole file is decoded first";
  for (const button of $("beside").children) {
    button.disabled = !current.original;
    button.title = current.original ? "" : reason;
  }
  for (const [kind, { figure }] of panels) figure.hidden = never && kind !== "preview";
  layOut();
}

function drawFiles() {
  $("files").hidden = files.size < 2;
  $("files").replaceChildren(...[...files.values()].map((file) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = file.name;
    button.setAttribute("aria-current", file === current);
    button.addEventListener("click", () => choose(file));
    return button;
  }));
}

function drawAbout() {
  $("about").textContent = `${current.width} × ${current.height} ${current.mode}, ${grouped(current.bytes)} bytes${state()}, ${coding()}`;
}

/** How the image is coded. JPEG coefficients have levels of cells in place of noise levels. */
function coding() {
  const count = `${current.levels || "no"}`, ending = current.levels === 1 ? "" : "s";
  const isJpeg = current.coding === "JPEG coefficients";
  const levels = isJpeg ? `${current.coding}, ${count} level${ending} of cells` : `${count} noise level${ending}`;
  return `effort ${current.effort}, ${levels}, model ${current.model ?? current.model_id}`;
}

/** What is not whole, or not as it was. Damage is known with the map. */
function state() {
  if (current.lossy) return ", lossy: cut on purpose";
  if (current.missing_bytes) return `, cut off: ${grouped(current.missing_bytes)} bytes are missing`;
  return current.damaged ? ", damaged: get the file again" : "";
}

function choose(file) {
  current = file;
  document.title = `${file.name} – ddpmcodec`;
  delete $("panels").dataset.ahead;
  $("name").textContent = file.name;
  drawAbout();
  $("error").hidden = true;
  $("slider").max = file.sizes.length - 1;
  for (const { image, figure } of panels.values()) {
    image.removeAttribute("src");
    delete figure.dataset.bytes;
    for (const text of figure.querySelectorAll("span")) text.textContent = "";
  }
  for (const id of ["psnr", "steps"]) $(id).textContent = "–";
  drawFiles();
  drawTicks(current);
  drawMap(current);
  allowComparisons();
  refresh();
  readMap(file).catch(fail);
}

function add(facts) {
  const start = facts.sizes.findIndex((bytes) => bytes >= facts.bytes / 10);
  const file = { position: Math.max(start, 0), stripes: null, ...facts };
  files.set(facts.number, file);
  return file;
}

async function openAll(chosen) {
  $("error").hidden = true;
  for (const file of chosen) {
    try {
      const response = await fetch(`files?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
      if (!response.ok) throw new Error(`${file.name}: ${await response.text()}`);
      choose(add(await response.json()));
    } catch (error) {
      fail(error);
    }
  }
}

// --- what the user does

$("slider").addEventListener("input", (event) => move(Number(event.target.value)));
$("zoom").addEventListener("click", () => zoom(!actual));
$("open").addEventListener("click", () => $("chooser").click());
$("chooser").addEventListener("change", (event) => openAll([...event.target.files]));
for (const button of $("beside").children) {
  button.addEventListener("click", () => {
    toggle(button.dataset.kind, button.getAttribute("aria-pressed") !== "true");
    refresh();
  });
}
document.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS) || event.altKey || event.ctrlKey || event.metaKey || !current) return;
  event.preventDefault();
  if (event.shiftKey && actual && event.key in PANS) pan(PANS[event.key]);
  else move(current.position + KEYS[event.key]);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").hidden = true;
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").hidden = true;
  openAll([...event.dataTransfer.files]);
});
new ResizeObserver(() => {
  if (!current) return;
  layOut();
  drawTicks(current);
}).observe($("panels"));

// --- start

$("panels").append(panel("preview"));
try {
  const answer = await fetch("files");
  for (const facts of await answer.json()) add(facts);
  current = files.values().next().value;
  toggle("jpeg", true);
  choose(current);
} catch (error) {
  fail(error);
}
